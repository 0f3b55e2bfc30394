//go:build wasip1

package koi

import (
	"errors"
	"fmt"
	"net/url"
	"time"
	"unsafe"
)

const longestBody = 1024 * 1024

// Answer is what a web server said.
type Answer struct {
	Status int    // 200, …; redirects are not followed
	Body   []byte // the first MiB of it
}

// HTTPGet asks for "http://host:port/path" or "https://…". Any status is an answer. `http` of [grants] says whereto.
func HTTPGet(url string, within time.Duration) (Answer, error) {
	return ask(url, methodGet, "", within)
}

// HTTPPost sends a body there.
func HTTPPost(url, body string, within time.Duration) (Answer, error) {
	return ask(url, methodPost, body, within)
}

const (
	methodGet  = 0
	methodPost = 2
)

func ask(target string, method uint32, body string, within time.Duration) (Answer, error) {
	answer, err := exchange(target, method, body, after(within))
	if err != nil {
		return Answer{}, fmt.Errorf("%s: %w", target, err)
	}
	return answer, nil
}

func exchange(target string, method uint32, body string, until deadline) (Answer, error) {
	request, err := prepare(target, method)
	if err != nil {
		return Answer{}, err
	}
	m := allocate(56)
	requestBody(request, m.start)
	outgoing := m.u32(4)
	handle(request, 0, 0, m.start)
	if m.u8(0) != 0 {
		return Answer{}, m.httpError(8)
	}
	future := m.u32(8)
	bodyWrite(outgoing, m.start)
	output := m.u32(4)
	sent := until.write(output, body)
	dropOutput(output)
	if sent == errLate {
		return Answer{}, sent
	}
	// If the other side takes no more, its answer says why.
	bodyFinish(outgoing, 0, 0, m.start)
	for {
		if futureGet(future, m.start); m.u8(0) != 0 {
			break
		}
		if err := until.wait(subscribeFuture(future)); err != nil {
			return Answer{}, err
		}
	}
	switch {
	case m.u8(8) != 0:
		return Answer{}, errors.New("no answer")
	case m.u8(16) != 0:
		return Answer{}, m.httpError(24)
	}
	return receive(m.u32(24), until)
}

// A request to this URL, without a body yet.
func prepare(target string, method uint32) (uint32, error) {
	of, err := url.Parse(target)
	wrong := Misconfigured("not a URL such as http://host:port/path")
	if err != nil || of.Host == "" || (of.Scheme != "http" && of.Scheme != "https") {
		return 0, wrong
	}
	var scheme uint32
	if of.Scheme == "https" {
		scheme = 1
	}
	request := newRequest(newFields())
	path := of.RequestURI()
	if setMethod(request, method, "") != 0 || setScheme(request, 1, scheme, "") != 0 ||
		setAuthority(request, 1, of.Host) != 0 || setPath(request, 1, path) != 0 {
		return 0, wrong
	}
	return request, nil
}

func receive(response uint32, until deadline) (Answer, error) {
	answer, m := Answer{Status: int(status16(response))}, allocate(8)
	consume(response, m.start)
	bodyStream(m.u32(4), m.start)
	input := m.u32(4)
	for len(answer.Body) < longestBody {
		more, err := until.read(input, uint64(longestBody-len(answer.Body)))
		if err == errClosed {
			break
		}
		if err != nil {
			return answer, err
		}
		answer.Body = append(answer.Body, more...)
	}
	return answer, nil
}

// httpError is an error-code of wasi:http, in words.
func (m memory) httpError(offset uint32) error {
	switch code := m.u8(offset); code {
	case 1, 2:
		return errors.New("no such host")
	case 4:
		return errors.New("its address is a private one; koid's log has the line for [grants]")
	case 5:
		return errors.New("no way there")
	case 6:
		return errors.New("connection refused; does it run?")
	case 7:
		return errClosed
	case 8, 9, 10, 33:
		return errLate
	case 12, 13, 14:
		return errors.New("its certificate is not trusted, or it does not speak TLS")
	case 15:
		return errors.New("not granted; koid's log has the line for [grants]")
	case 35:
		return errors.New("it does not speak HTTP")
	default:
		return fmt.Errorf("error %d of wasi:http", code)
	}
}

//go:wasmimport wasi:http/types@0.2.0 [constructor]fields
func newFields() uint32

//go:wasmimport wasi:http/types@0.2.0 [constructor]outgoing-request
func newRequest(fields uint32) uint32

//go:wasmimport wasi:http/types@0.2.0 [method]outgoing-request.set-method
func setMethod(request, method uint32, other string) uint32

//go:wasmimport wasi:http/types@0.2.0 [method]outgoing-request.set-scheme
func setScheme(request, some, scheme uint32, other string) uint32

//go:wasmimport wasi:http/types@0.2.0 [method]outgoing-request.set-authority
func setAuthority(request, some uint32, authority string) uint32

//go:wasmimport wasi:http/types@0.2.0 [method]outgoing-request.set-path-with-query
func setPath(request, some uint32, path string) uint32

//go:wasmimport wasi:http/types@0.2.0 [method]outgoing-request.body
func requestBody(request uint32, result unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.0 [method]outgoing-body.write
func bodyWrite(body uint32, result unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.0 [static]outgoing-body.finish
func bodyFinish(body, some, trailers uint32, result unsafe.Pointer)

//go:wasmimport wasi:http/outgoing-handler@0.2.0 handle
func handle(request, some, options uint32, result unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.0 [method]future-incoming-response.subscribe
func subscribeFuture(future uint32) uint32

//go:wasmimport wasi:http/types@0.2.0 [method]future-incoming-response.get
func futureGet(future uint32, result unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.0 [method]incoming-response.status
func status16(response uint32) uint32

//go:wasmimport wasi:http/types@0.2.0 [method]incoming-response.consume
func consume(response uint32, result unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.0 [method]incoming-body.stream
func bodyStream(body uint32, result unsafe.Pointer)
