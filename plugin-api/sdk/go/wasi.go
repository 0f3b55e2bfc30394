//go:build wasip1

package koi

import (
	"errors"
	"time"
	"unsafe"
)

// What tcp.go and http.go take of WASI 0.2: streams, and waiting until a deadline. A resource is a number, and goes with the call.

var (
	errLate   = errors.New("no answer in time")
	errClosed = errors.New("it closed the connection")
	errBroken = errors.New("the connection broke")
)

// deadline is a pollable that is ready when the time is over.
type deadline uint32

func after(within time.Duration) deadline {
	return deadline(subscribeDuration(uint64(within.Nanoseconds())))
}

// wait waits for what is behind a pollable.
func (d deadline) wait(pollable uint32) error {
	both, ready := allocate(8), allocate(8)
	both.setU32(0, pollable)
	both.setU32(4, uint32(d))
	poll(both.start, 2, ready.start)
	dropPollable(pollable)
	for i := range ready.u32(4) {
		if ready.follow(0).u32(i*4) == 0 {
			return nil
		}
	}
	return errLate
}

// streamError is the error of a result whose error is a stream-error at offset, if it is one.
func (m memory) streamError(offset uint32) error {
	switch {
	case m.u8(0) == 0:
		return nil
	case m.u8(offset) == 1:
		return errClosed
	default:
		return errBroken
	}
}

// write sends all of it.
func (d deadline) write(output uint32, bytes string) error {
	m := allocate(16)
	for len(bytes) > 0 {
		checkWrite(output, m.start)
		if err := m.streamError(8); err != nil {
			return err
		}
		room := min(m.u64(8), uint64(len(bytes)))
		if room == 0 {
			if err := d.wait(subscribeOutput(output)); err != nil {
				return err
			}
			continue
		}
		writeStream(output, bytes[:room], m.start)
		if err := m.streamError(4); err != nil {
			return err
		}
		bytes = bytes[room:]
	}
	flush(output, m.start)
	return m.streamError(4)
}

// read gives at least a byte, and at most this many.
func (d deadline) read(input uint32, most uint64) ([]byte, error) {
	m := allocate(12)
	for {
		readStream(input, most, m.start)
		if err := m.streamError(4); err != nil {
			return nil, err
		}
		if bytes := m.bytes(4); len(bytes) > 0 {
			return bytes, nil
		}
		if err := d.wait(subscribeInput(input)); err != nil {
			return nil, err
		}
	}
}

//go:wasmimport wasi:clocks/monotonic-clock@0.2.0 subscribe-duration
func subscribeDuration(ns uint64) uint32

//go:wasmimport wasi:io/poll@0.2.0 poll
func poll(pollables unsafe.Pointer, count uint32, ready unsafe.Pointer)

//go:wasmimport wasi:io/poll@0.2.0 [resource-drop]pollable
func dropPollable(pollable uint32)

//go:wasmimport wasi:io/streams@0.2.0 [method]input-stream.read
func readStream(input uint32, most uint64, result unsafe.Pointer)

//go:wasmimport wasi:io/streams@0.2.0 [method]input-stream.subscribe
func subscribeInput(input uint32) uint32

//go:wasmimport wasi:io/streams@0.2.0 [resource-drop]input-stream
func dropInput(input uint32)

//go:wasmimport wasi:io/streams@0.2.0 [method]output-stream.check-write
func checkWrite(output uint32, result unsafe.Pointer)

//go:wasmimport wasi:io/streams@0.2.0 [method]output-stream.write
func writeStream(output uint32, bytes string, result unsafe.Pointer)

//go:wasmimport wasi:io/streams@0.2.0 [method]output-stream.flush
func flush(output uint32, result unsafe.Pointer)

//go:wasmimport wasi:io/streams@0.2.0 [method]output-stream.subscribe
func subscribeOutput(output uint32) uint32

//go:wasmimport wasi:io/streams@0.2.0 [resource-drop]output-stream
func dropOutput(output uint32)
