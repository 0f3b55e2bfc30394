//go:build wasip1

// Package koi is koi:service@0.1.0 in Go: what a handler implements and what koi offers it. The words mean what
// wit/koi-service.wit says of them. How the two sides pass data to each other is in abi.go.
package koi

// Handler is what koi asks. A method that returns an error has failed: see Retry, Fatal, Misconfigured, Unsupported.
type Handler interface {
	// Describe is pure, and called without any capability.
	Describe() Metadata
	Start(Context) error
	Stop(Context) error
	Promote(Context) error
	Demote(Context) error
	Status(Context) (StatusReport, error)
	Failed(Context, Failure) error
}

// Handle names the one handler of this component; to be called from an init function.
func Handle(h Handler) { handler = h }

// Hook is one of the calls.
type Hook uint8

// The hooks.
const (
	Start Hook = iota
	Stop
	Promote
	Demote
	Status
	Failed
)

// String is the hook's name.
func (h Hook) String() string {
	return [...]string{"start", "stop", "promote", "demote", "status", "failed"}[h]
}

// HookSet is a set of hooks.
type HookSet uint8

// AllHooks is every hook.
const AllHooks HookSet = 1<<6 - 1

// Hooks is the set of these.
func Hooks(hooks ...Hook) HookSet {
	var set HookSet
	for _, hook := range hooks {
		set |= 1 << hook
	}
	return set
}

// Role is what koi wants the service to be on this node.
type Role uint8

// The roles.
const (
	RoleNone Role = iota
	RoleStandby
	RolePromoted
)

// State is what Status saw.
type State uint8

// The states.
const (
	OK State = iota
	Promoted
	Standby
	Live
	Stopped
	// FailedState is service-state failed.
	FailedState
)

// StatusReport is what Status answers.
type StatusReport struct {
	State          State
	Message        string
	PromotionScore *int32 // nil: none
	Details        []Pair
}

// Pair is a key and its value.
type Pair struct{ Key, Value string }

// Master is the node that is master.
type Master struct{ Name, Address string }

// Context is everything that koi knows about one call.
type Context struct {
	Service   string
	Node      string
	CallID    uint64
	Attempt   uint32
	Role      Role
	Epoch     uint64
	Master    *Master // nil: there is none
	TimeoutMs uint64
	Workdir   *string // nil: not readable for the guest
	Settings  []Pair  // [config], in file order
}

// Config is the value of key in [config].
func (c Context) Config(key string) (value string, given bool) {
	for _, pair := range c.Settings {
		if pair.Key == key {
			return pair.Value, true
		}
	}
	return "", false
}

// Failure is why Failed is called.
type Failure struct {
	Hook     Hook
	Message  string
	TimedOut bool
}

// CapabilityKind tells what a Capability is about.
type CapabilityKind uint8

// The kinds.
const (
	Exec CapabilityKind = iota
	TCPConnect
	FSRead
	FSWrite
	Env
)

// Capability is something of the node that a handler wants.
type Capability struct {
	Kind  CapabilityKind
	Value string
}

// ConfigKey is a key of [config] that a handler understands.
type ConfigKey struct {
	Name        string
	Description string
	Required    bool
	Default     *string // nil: none
}

// Metadata is what a handler says of itself.
type Metadata struct {
	Name         string
	Version      string
	Description  string
	Hooks        HookSet
	Capabilities []Capability
	Config       []ConfigKey
}

type errorKind uint8

const (
	retry errorKind = iota
	fatal
	misconfigured
	unsupported
)

type hookError struct {
	kind errorKind
	text string
}

func (e hookError) Error() string { return e.text }

// Retry is the error of a hook to be tried again here, after koi's back-off. Errors of other origin count as such.
func Retry(text string) error { return hookError{retry, text} }

// Fatal is the error of a hook that is not to be tried again on this node until an operator says so.
func Fatal(text string) error { return hookError{fatal, text} }

// Misconfigured is the error of a hook that cannot work anywhere until [config] is mended.
func Misconfigured(text string) error { return hookError{misconfigured, text} }

// Unsupported is the error of a hook that the handler does not have after all; it counts as done.
func Unsupported() error { return hookError{unsupported, "there is no such hook"} }

// Level is how loud a line of the log is.
type Level uint32

// The levels.
const (
	Trace Level = iota
	Debug
	Info
	Warn
	Error
)
