//go:build wasip1

package koi

// What koi offers a handler.

import "errors"

// Errors of the store. An error that is none of these is the disk's.
var (
	ErrTooLarge      = errors.New("koi's store: a key is longer than 256 bytes, or a value longer than 64 KiB")
	ErrQuotaExceeded = errors.New("koi's store: the service has used up its room of 1 MiB and 1024 keys")
)

// Log writes a line to koid's log.
func Log(level Level, message string) { hostLog(level, message) }

// RemainingMs is what is left of this call, in milliseconds; 0 once koi wants it to end.
func RemainingMs() uint64 { return hostRemainingMs() }

// EpochCurrent is true while the context's epoch is the newest that this node has heard of.
func EpochCurrent() bool { return hostEpochCurrent() != 0 }

// Sleep waits; false when koi wants the call to end.
func Sleep(ms uint64) bool { return hostSleep(ms) != 0 }

// Get is what the store has under key; nil: nothing.
func Get(key string) ([]byte, error) {
	m := allocate(16)
	stateGet(key, m.start)
	if err := m.stateError(4); err != nil || m.u8(4) == 0 {
		return nil, err
	}
	return m.bytes(8), nil
}

// Set puts value under key; it is on disk when Set returns.
func Set(key string, value []byte) error {
	m := allocate(16)
	stateSet(key, string(value), m.start)
	return m.stateError(4)
}

// Delete forgets key; one that is not there is a success.
func Delete(key string) error {
	m := allocate(16)
	stateDelete(key, m.start)
	return m.stateError(4)
}

// Keys are all keys of the store, sorted.
func Keys() ([]string, error) {
	m := allocate(16)
	stateKeys(m.start)
	if err := m.stateError(4); err != nil {
		return nil, err
	}
	keys := make([]string, m.u32(8))
	for i := range keys {
		keys[i] = m.follow(4).text(uint32(i) * 8)
	}
	return keys, nil
}

// stateError is the error of a result<_, state-error>, if it is one; the case stands at offset.
func (m memory) stateError(offset uint32) error {
	if m.u8(0) == 0 {
		return nil
	}
	switch m.u8(offset) {
	case 0:
		return ErrTooLarge
	case 1:
		return ErrQuotaExceeded
	default:
		return errors.New("koi's store: " + m.text(offset+4))
	}
}
