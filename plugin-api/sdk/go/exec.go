//go:build wasip1

package koi

import (
	"fmt"
	"strings"
	"time"
	"unsafe"
)

// Run runs the program at an absolute path with these arguments, to its end, and is what it wrote to its standard output. `exec` of
// [grants] says which programs, with which arguments. What does not exit with 0 in time is an error. 0: until the end of the call.
func Run(within time.Duration, program string, args ...string) (string, error) {
	code, stdout, stderr, err := run(within, program, args)
	switch line, _, _ := strings.Cut(strings.TrimSpace(stderr), "\n"); {
	case err != nil:
		return "", err
	case code == nil:
		return "", fmt.Errorf("%s was killed by a signal", program)
	case *code == 0:
		return stdout, nil
	case line != "":
		return "", fmt.Errorf("%s: %s", program, line)
	default:
		return "", fmt.Errorf("%s exited with %d and said nothing", program, *code)
	}
}

// A result<output, exec-error>. The exit code is nil where a signal has killed it.
func run(within time.Duration, program string, args []string) (code *int32, stdout, stderr string, err error) {
	list, m := allocate(8), allocate(40)
	list.setTexts(0, args)
	var limited uint32
	if within > 0 {
		limited = 1
	}
	execRun(program, list.follow(0).start, uint32(len(args)), nil, 0, nil, 0, limited, uint64(within.Milliseconds()), m.start)
	if m.u8(0) == 0 {
		if m.u8(4) == 1 {
			exited := int32(m.u32(8))
			code = &exited
		}
		return code, m.text(12), m.text(20), nil
	}
	switch m.u8(4) {
	case 0:
		return nil, "", "", fmt.Errorf("%s is not granted with these arguments; koid's log has the line for [grants]", program)
	case 1:
		return nil, "", "", fmt.Errorf("%s is not there; install it, or name the place where it is", program)
	case 2:
		return nil, "", "", fmt.Errorf("%s did not end in time", program)
	default:
		return nil, "", "", fmt.Errorf("%s: %s", program, m.text(8))
	}
}

//go:wasmimport koi:service/exec@0.2.0 run
func execRun(program string, args unsafe.Pointer, argCount uint32, env unsafe.Pointer, envCount uint32, stdin unsafe.Pointer, stdinLength uint32, limited uint32, timeoutMs uint64, result unsafe.Pointer)
