//go:build wasip1

package koi

// The attributes of the service's group, which the whole cluster shares: its master writes them, every node reads them.

// AttributesErrorKind is why attributes were not read or written.
type AttributesErrorKind uint8

// The kinds.
const (
	NotMaster   AttributesErrorKind = iota // the node is not master under the epoch of this call: nothing was written
	Invalid                                // no key, too long a value, no room for one more: nothing was written
	Unavailable                            // no leader, no quorum, an older koi among the electors: nothing was written
	Unknown                                // nobody knows; it may yet take effect
)

// AttributesError is what ReadAttributes, SetAttribute and RemoveAttribute fail with.
type AttributesError struct {
	Kind AttributesErrorKind
	// Text is a line for people: what happened, and what to do.
	Text string
}

func (e *AttributesError) Error() string { return "attributes: " + e.Text }

// Attributes are all attributes of a group.
type Attributes struct {
	Version string // "TERM.N"; empty: nothing was ever written
	Values  []Pair
}

// Get is the value of key; false: there is none.
func (a Attributes) Get(key string) (string, bool) {
	for _, pair := range a.Values {
		if pair.Key == key {
			return pair.Value, true
		}
	}
	return "", false
}

// ReadAttributes are those that this node acts on; fresh: those that the leader knows, which is asked for that.
func ReadAttributes(fresh bool) (Attributes, error) {
	m, asked := allocate(20), uint32(0)
	if fresh {
		asked = 1
	}
	attributesRead(asked, m.start)
	if err := m.attributesError(); err != nil {
		return Attributes{}, err
	}
	return Attributes{Version: m.text(4), Values: m.pairs(12)}, nil
}

// SetAttribute writes one. When it returns a quorum has it on disk, and this node acts on it.
func SetAttribute(key, value string) error {
	m := allocate(16)
	attributesSet(key, value, m.start)
	return m.attributesError()
}

// RemoveAttribute removes one; one that is not there is a success.
func RemoveAttribute(key string) error {
	m := allocate(16)
	attributesRemove(key, m.start)
	return m.attributesError()
}

// attributesError is the error of a result<_, attributes-error>, if it is one.
func (m memory) attributesError() error {
	if m.u8(0) == 0 {
		return nil
	}
	return &AttributesError{Kind: AttributesErrorKind(m.u8(4)), Text: m.text(8)}
}
