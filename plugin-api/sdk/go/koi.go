// Package koi is koi:service@0.2.0 in Go: what a handler implements and what koi offers it. The words mean what
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

var handler Handler

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
	Changed
)

// String is the hook's name.
func (h Hook) String() string {
	return [...]string{"start", "stop", "promote", "demote", "status", "failed", "changed"}[h]
}

// HookSet is a set of hooks.
type HookSet uint8

// AllHooks is every hook but Changed.
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
	PromotionScore *int64 // nil: none
	Details        []Pair
	// Processes that the service runs in: koi watches the first 8, and asks for the status at once when one ends.
	Processes []Process
}

// Process is one that a service runs in: PID or Pidfile.
type Process struct {
	id      uint32
	pidfile *string
}

// PID names a process by its id.
func PID(id uint32) Process { return Process{id: id} }

// Pidfile names a process by a file whose first line is its id, in a directory that [grants] lets the handler read.
func Pidfile(path string) Process { return Process{pidfile: &path} }

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

	DeadlineMs    uint64      // how long this call really has: TimeoutMs, or less where lease and grace end before; 0: they are over
	PromotedEpoch uint64      // the newest epoch under which a node has promoted all of its critical services; 0: none is known
	Previous      *Mastership // who was master before; nil: nobody, or it is unknown
	Reason        *Reason     // why the service goes down; nil: it does not, or there is no word for it
	Group         string      // the group that the service is promoted with; "main" where there are no others
	Peers         []Peer      // the other nodes that run the group
	PeersKnown    bool        // false: there is no leader, or it has said nothing of them yet
}

// Peer is another node that runs the group, as the leader has seen it.
type Peer struct {
	Name       string
	State      PeerState
	Promotable bool    // it could be made master now
	Score      *int64  // nil: its services have said none
	Address    *string // where it is reached, an IP without a port; nil: unknown
}

// PeerState is how another node is, as far as the group goes.
type PeerState uint8

// The states.
const (
	PeerFailed       PeerState = iota // something of it has failed, and it is down
	PeerDisconnected                  // it is not heard, or its koid has ended
	PeerStopped                       // it is not to run there
	PeerLive                          // it runs, or is being started, and cannot be promoted yet
	PeerStandby                       // it runs, and can be promoted
	PeerMaster                        // it is the master
)

// Mastership is one that is over.
type Mastership struct {
	Name  string
	Epoch uint64
}

// Reason is why a service goes down.
type Reason uint8

// The reasons.
const (
	LeaseLost  Reason = iota // another node may soon be promoted
	Ordered                  // the mastership is wanted elsewhere, or the service is to be down
	NodeFailed               // this service, or another of the node, has failed
	Stopping                 // the services of the node are stopped
	Fenced                   // lease and grace are over
)

// Failure is why Failed is called.
type Failure struct {
	Hook     Hook
	Message  string
	TimedOut bool
}

// Want is something of the node that a handler wants, and what for, in a line for the operator who decides. Texts may name keys of
// [config] in braces, as in TCP("{address}", …); a key without a value makes no want.
type Want struct {
	kind   capability
	value  string
	words  []string
	user   string
	keep   bool
	reason string
}

type capability uint8

const (
	capabilityExec capability = iota
	capabilityExecEnv
	capabilityTCP
	capabilityUDP
	capabilityHTTP
	capabilityLookup
	capabilityRead
	capabilityWrite
	capabilityEnv
)

// WantExec is to run a program: an absolute path, then a word for each argument. A `*` in a word stands for any text.
func WantExec(reason string, words ...string) Want {
	return Want{kind: capabilityExec, words: words, reason: reason}
}

// As is the same program, run as this user of the node.
func (w Want) As(user string) Want { w.user = user; return w }

// Keep is the same program, which launches something that outlives the call.
func (w Want) Keep() Want { w.keep = true; return w }

// WantExecEnv is to give this variable to the programs that it runs.
func WantExecEnv(reason, name string) Want {
	return Want{kind: capabilityExecEnv, value: name, reason: reason}
}

// WantTCP is to connect to "ip:port".
func WantTCP(reason, address string) Want {
	return Want{kind: capabilityTCP, value: address, reason: reason}
}

// WantHTTP is to send HTTP requests to "host:port".
func WantHTTP(reason, address string) Want {
	return Want{kind: capabilityHTTP, value: address, reason: reason}
}

// ConfigType is what a value of [config] may be.
type ConfigType struct {
	kind        uint8
	least, most int64
	oneOf       []string
}

// The types. Each says which form a value has in a context.
var (
	Text     = ConfigType{kind: 0}
	Boolean  = ConfigType{kind: 2}
	Duration = ConfigType{kind: 3}
	Address  = ConfigType{kind: 4}
	IP       = ConfigType{kind: 5}
	Secret   = ConfigType{kind: 7}
)

// Integer is whole numbers from least to most.
func Integer(least, most int64) ConfigType { return ConfigType{kind: 1, least: least, most: most} }

// OneOf is one of these texts.
func OneOf(texts ...string) ConfigType { return ConfigType{kind: 6, oneOf: texts} }

// ConfigKey is a key of [config] that a handler understands.
type ConfigKey struct {
	Name        string
	Description string
	Type        ConfigType
	Many        bool     // service.toml may give it a list
	Required    bool     // without it the service cannot run
	Default     []string // as service.toml would have it
}

// Metadata is what a handler says of itself.
type Metadata struct {
	Name        string
	Version     string
	Description string
	Hooks       HookSet
	Wants       []Want
	Config      []ConfigKey
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
