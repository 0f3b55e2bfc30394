package koi

import (
	"strings"
	"testing"
)

func TestAProgramGivesItsOutputOrSaysWhyNot(t *testing.T) {
	code := func(of int32) *int32 { return &of }
	command := Command{Program: "/usr/bin/df", Args: []string{"--", "", "/a b"}}
	if output, err := command.verdict(ended{end: execRan, code: code(0), stdout: "42%\n"}); output != "42%\n" || err != nil {
		t.Error(output, err)
	}
	for expected, of := range map[string]ended{
		"/usr/bin/df: df: /x: no such file":                                   {end: execRan, code: code(1), stderr: "df: /x: no such file\nmore"},
		"/usr/bin/df exited with 3 and said nothing":                          {end: execRan, code: code(3)},
		"/usr/bin/df was killed by a signal":                                  {end: execRan},
		"/usr/bin/df is not there; install it, or name the place where it is": {end: execNotFound},
		"/usr/bin/df did not end in time":                                     {end: execTimedOut},
		"/usr/bin/df: no memory":                                              {end: execFailed, words: "no memory"},
		`/usr/bin/df is not granted with these arguments: -- "" "/a b"; koid's log has the line for [grants]`: {end: execDenied},
	} {
		if _, err := command.verdict(of); err == nil || err.Error() != expected {
			t.Error(expected, err)
		}
	}
	command.Args = nil
	if _, err := command.verdict(ended{end: execDenied}); err.Error() != "/usr/bin/df is not granted without arguments; koid's log has the line for [grants]" {
		t.Error(err)
	}
}

func TestNoPartOfASecretIsShown(t *testing.T) {
	if line := shown([]string{"-p", strings.Repeat("x", 200), "/"}); line != "-p …" {
		t.Error(line)
	}
}
