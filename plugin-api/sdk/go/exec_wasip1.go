package koi

import (
	"time"
	"unsafe"
)

// Run runs the program at an absolute path with these arguments, to its end, and is what it wrote to its standard output. `exec` of
// [grants] says which programs, with which arguments. What does not exit with 0 in time is an error. 0: until the end of the call.
func Run(within time.Duration, program string, args ...string) (string, error) {
	return Command{Program: program, Args: args, Within: within}.Run()
}

// Run runs it to its end, and is what it wrote to its standard output. What does not exit with 0 in time is an error.
func (c Command) Run() (string, error) {
	lists, m := allocate(24), allocate(40)
	lists.setTexts(0, c.Args)
	lists.setPairs(8, c.Env)
	lists.setText(16, c.Stdin)
	var limited uint32
	if c.Within > 0 {
		limited = 1
	}
	execRun(c.Program, lists.follow(0).start, uint32(len(c.Args)), lists.follow(8).start, uint32(len(c.Env)),
		lists.follow(16).start, uint32(len(c.Stdin)), limited, uint64(c.Within.Milliseconds()), m.start)
	// A result<output, exec-error>.
	if m.u8(0) != 0 {
		of := ended{end: execEnd(m.u8(4))}
		if of.end == execFailed {
			of.words = m.text(8)
		}
		return c.verdict(of)
	}
	of := ended{end: execRan, stdout: m.text(12), stderr: m.text(20)}
	if m.u8(4) == 1 {
		code := int32(m.u32(8))
		of.code = &code
	}
	return c.verdict(of)
}

//go:wasmimport koi:service/exec@0.2.0 run
func execRun(program string, args unsafe.Pointer, argCount uint32, env unsafe.Pointer, envCount uint32, stdin unsafe.Pointer, stdinLength uint32, limited uint32, timeoutMs uint64, result unsafe.Pointer)
