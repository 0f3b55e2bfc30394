package koi

import (
	"fmt"
	"strings"
	"time"
)

// Command is a program with all that it is given. What is left out is not there. Run runs it.
type Command struct {
	Program string        // its absolute path
	Args    []string      // everybody on the node sees them
	Stdin   string        // what it reads, any bytes: a secret goes there
	Env     []Pair        // variables; `exec-env` of [grants] says which may be set
	Within  time.Duration // 0: until the end of the call
}

// Bytes of arguments in an error.
const shownBytes = 200

// The case of exec-error, or that there was none.
type execEnd uint8

const (
	execDenied execEnd = iota
	execNotFound
	execTimedOut
	execFailed
	execRan
)

// How a program ended.
type ended struct {
	end            execEnd
	code           *int32 // nil: a signal has killed it
	stdout, stderr string
	words          string // of execFailed
}

// What it wrote to its standard output; or, in a line, what did not go well and what to do.
func (c Command) verdict(of ended) (string, error) {
	switch line, _, _ := strings.Cut(strings.TrimSpace(of.stderr), "\n"); {
	case of.end == execDenied && len(c.Args) == 0:
		return "", fmt.Errorf("%s is not granted without arguments; koid's log has the line for [grants]", c.Program)
	case of.end == execDenied:
		return "", fmt.Errorf("%s is not granted with these arguments: %s; koid's log has the line for [grants]", c.Program, shown(c.Args))
	case of.end == execNotFound:
		return "", fmt.Errorf("%s is not there; install it, or name the place where it is", c.Program)
	case of.end == execTimedOut:
		return "", fmt.Errorf("%s did not end in time", c.Program)
	case of.end == execFailed:
		return "", fmt.Errorf("%s: %s", c.Program, of.words)
	case of.code == nil:
		return "", fmt.Errorf("%s was killed by a signal", c.Program)
	case *of.code == 0:
		return of.stdout, nil
	case line != "":
		return "", fmt.Errorf("%s: %s", c.Program, line)
	default:
		return "", fmt.Errorf("%s exited with %d and said nothing", c.Program, *of.code)
	}
}

// Arguments in a line. A long one is left out whole, with all that follows: koi hides secrets, and does not know a part of one.
func shown(args []string) string {
	var words []string
	var length int
	for _, arg := range args {
		if length += len(arg) + 1; length > shownBytes {
			words = append(words, "…")
			break
		}
		if fields := strings.Fields(arg); len(fields) != 1 || fields[0] != arg {
			arg = `"` + arg + `"`
		}
		words = append(words, arg)
	}
	return strings.Join(words, " ")
}
