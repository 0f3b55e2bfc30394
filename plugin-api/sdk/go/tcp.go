//go:build wasip1

package koi

import (
	"bytes"
	"fmt"
	"net/netip"
	"time"
	"unsafe"
)

const (
	longestLine = 64 * 1024
	wouldBlock  = 8
)

// Connection is a TCP connection whose every wait ends at a deadline.
type Connection struct {
	address               string
	socket, input, output uint32
	deadline              deadline
	read                  []byte
}

// Connect connects to "ip:port" or "[ip]:port"; whatever is done with the connection is over within this time. `tcp` of [grants] says
// whereto. Names are not looked up.
func Connect(address string, within time.Duration) (*Connection, error) {
	c := &Connection{address: address, deadline: after(within)}
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, Misconfigured(address + ": not an IP address with a port, such as 10.0.0.5:5432; names are not looked up")
	}
	m := allocate(12)
	var family uint32
	if to.Addr().Is6() {
		family = 1
	}
	createSocket(family, m.start)
	if m.u8(0) != 0 {
		return nil, c.refused(m.u8(4))
	}
	c.socket = m.u32(4)
	c.startConnect(to, m)
	if m.u8(0) != 0 {
		return nil, c.refused(m.u8(1))
	}
	for {
		finishConnect(c.socket, m.start)
		if m.u8(0) == 0 {
			c.input, c.output = m.u32(4), m.u32(8)
			return c, nil
		}
		if m.u8(4) != wouldBlock {
			return nil, c.refused(m.u8(4))
		}
		if err := c.deadline.wait(subscribeSocket(c.socket)); err != nil {
			return nil, c.failed(err)
		}
	}
}

// Send sends all of a text.
func (c *Connection) Send(text string) error { return c.failed(c.deadline.write(c.output, text)) }

// Line is the next line, without its end.
func (c *Connection) Line() (string, error) {
	for {
		if line, rest, found := bytes.Cut(c.read, []byte("\n")); found {
			c.read = rest
			return string(bytes.TrimSuffix(line, []byte("\r"))), nil
		}
		if len(c.read) > longestLine {
			return "", fmt.Errorf("%s: a line without an end", c.address)
		}
		more, err := c.deadline.read(c.input, 4096)
		if err != nil {
			return "", c.failed(err)
		}
		c.read = append(c.read, more...)
	}
}

// Close ends the connection. It happens by itself when the call ends.
func (c *Connection) Close() {
	dropInput(c.input)
	dropOutput(c.output)
	dropSocket(c.socket)
}

func (c *Connection) failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", c.address, err)
}

// refused is an error-code of wasi:sockets, in words.
func (c *Connection) refused(code uint8) error {
	switch code {
	case 1:
		return fmt.Errorf("%s: not granted; koid's log has the line for [grants]", c.address)
	case 5:
		return c.failed(errLate)
	case 13:
		return fmt.Errorf("%s: no way there", c.address)
	case 14:
		return fmt.Errorf("%s: connection refused; does it run?", c.address)
	default:
		return fmt.Errorf("%s: cannot connect: error %d of wasi:sockets", c.address, code)
	}
}

// An address is as many numbers as one of IPv6 has; one of IPv4 has its port and four.
func (c *Connection) startConnect(to netip.AddrPort, m memory) {
	var p [11]uint32
	p[0] = uint32(to.Port())
	if to.Addr().Is4() {
		for i, byte := range to.Addr().As4() {
			p[1+i] = uint32(byte)
		}
		startConnect(c.socket, network(), 0, p[0], p[1], p[2], p[3], p[4], 0, 0, 0, 0, 0, 0, m.start)
		return
	}
	ip := to.Addr().As16()
	for i := range 8 {
		p[2+i] = uint32(ip[2*i])<<8 | uint32(ip[2*i+1])
	}
	startConnect(c.socket, network(), 1, p[0], 0, p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9], 0, m.start)
}

//go:wasmimport wasi:sockets/instance-network@0.2.0 instance-network
func network() uint32

//go:wasmimport wasi:sockets/tcp-create-socket@0.2.0 create-tcp-socket
func createSocket(family uint32, result unsafe.Pointer)

//go:wasmimport wasi:sockets/tcp@0.2.0 [method]tcp-socket.start-connect
func startConnect(socket, network, family, a, b, c, d, e, f, g, h, i, j, k uint32, result unsafe.Pointer)

//go:wasmimport wasi:sockets/tcp@0.2.0 [method]tcp-socket.finish-connect
func finishConnect(socket uint32, result unsafe.Pointer)

//go:wasmimport wasi:sockets/tcp@0.2.0 [method]tcp-socket.subscribe
func subscribeSocket(socket uint32) uint32

//go:wasmimport wasi:sockets/tcp@0.2.0 [resource-drop]tcp-socket
func dropSocket(socket uint32)
