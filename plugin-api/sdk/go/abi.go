//go:build wasip1

package koi

// The canonical ABI of the component model, by hand: where in memory each field of wit/koi-service.wit lies. Addresses
// are 32 bits wide on the other side, so they are read and written as uint32. Nothing here changes while koi:service
// stays at 0.2.

import (
	"errors"
	"unsafe"
)

// What the other side holds addresses of; Go's garbage collector cannot see those. An instance serves one call and is
// gone with all of this.
var kept []any

//go:wasmexport cabi_realloc
func realloc(old unsafe.Pointer, oldSize, _, size uint32) unsafe.Pointer {
	words := make([]uint64, size/8+1) // Aligned to 8, which is all that is asked for.
	block := unsafe.Pointer(unsafe.SliceData(words))
	copy(unsafe.Slice((*byte)(block), size), unsafe.Slice((*byte)(old), oldSize))
	kept = append(kept, words)
	return block
}

// memory is a record in memory; a field is named by its distance from the start.
type memory struct{ start unsafe.Pointer }

func allocate(size uint32) memory { return memory{realloc(nil, 0, 8, size)} }

func (m memory) at(offset uint32) memory            { return memory{unsafe.Add(m.start, offset)} }
func (m memory) u8(offset uint32) uint8             { return *(*uint8)(unsafe.Add(m.start, offset)) }
func (m memory) u32(offset uint32) uint32           { return *(*uint32)(unsafe.Add(m.start, offset)) }
func (m memory) u64(offset uint32) uint64           { return *(*uint64)(unsafe.Add(m.start, offset)) }
func (m memory) setU8(offset uint32, value uint8)   { *(*uint8)(unsafe.Add(m.start, offset)) = value }
func (m memory) setU64(offset uint32, value uint64) { *(*uint64)(unsafe.Add(m.start, offset)) = value }
func (m memory) setU32(offset uint32, value uint32) { *(*uint32)(unsafe.Add(m.start, offset)) = value }

func (m memory) follow(offset uint32) memory {
	return memory{unsafe.Pointer(uintptr(m.u32(offset)))}
}

func (m memory) bytes(offset uint32) []byte {
	return append([]byte{}, unsafe.Slice((*byte)(m.follow(offset).start), m.u32(offset+4))...)
}

func (m memory) text(offset uint32) string { return string(m.bytes(offset)) }

func (m memory) setText(offset uint32, text string) {
	kept = append(kept, text)
	m.setU32(offset, address(unsafe.StringData(text)))
	m.setU32(offset+4, uint32(len(text)))
}

// setList makes room for a list of count elements of size bytes, and gives it to be filled.
func (m memory) setList(offset uint32, count int, size uint32) memory {
	elements := allocate(uint32(count) * size)
	m.setU32(offset, address((*byte)(elements.start)))
	m.setU32(offset+4, uint32(count))
	return elements
}

func (m memory) setTexts(offset uint32, texts []string) {
	elements := m.setList(offset, len(texts), 8)
	for i, text := range texts {
		elements.setText(uint32(i)*8, text)
	}
}

func (m memory) setPairs(offset uint32, pairs []Pair) {
	elements := m.setList(offset, len(pairs), 16)
	for i, pair := range pairs {
		elements.setText(uint32(i)*16, pair.Key)
		elements.setText(uint32(i)*16+8, pair.Value)
	}
}

func (m memory) setBool(offset uint32, value bool) {
	if value {
		m.setU8(offset, 1)
	}
}

func address(first *byte) uint32 { return uint32(uintptr(unsafe.Pointer(first))) }

func (m memory) pairs(offset uint32) []Pair {
	pairs := make([]Pair, m.u32(offset+4))
	for i := range pairs {
		element := m.follow(offset).at(uint32(i) * 16)
		pairs[i] = Pair{element.text(0), element.text(8)}
	}
	return pairs
}

func (m memory) context() Context {
	ctx := Context{
		Service: m.text(0), Node: m.text(8), CallID: m.u64(16), Attempt: m.u32(24), Role: Role(m.u8(28)),
		Epoch: m.u64(32), TimeoutMs: m.u64(64), Settings: m.pairs(84),
	}
	if m.u8(40) == 1 {
		ctx.Master = &Master{Name: m.text(44), Address: m.text(52)}
	}
	if m.u8(72) == 1 {
		workdir := m.text(76)
		ctx.Workdir = &workdir
	}
	ctx.DeadlineMs, ctx.PromotedEpoch = m.u64(96), m.u64(104)
	if m.u8(112) == 1 {
		ctx.Previous = &Mastership{Name: m.text(120), Epoch: m.u64(128)}
	}
	if m.u8(136) == 1 {
		reason := Reason(m.u8(137))
		ctx.Reason = &reason
	}
	ctx.Group = m.text(140)
	if ctx.PeersKnown = m.u8(148) == 1; ctx.PeersKnown {
		ctx.Peers = m.peers(152)
	}
	return ctx
}

func (m memory) peers(offset uint32) []Peer {
	peers := make([]Peer, m.u32(offset+4))
	for i := range peers {
		element := m.follow(offset).at(uint32(i) * 48)
		peers[i] = Peer{Name: element.text(0), State: PeerState(element.u8(8)), Promotable: element.u8(9) != 0}
		if element.u8(16) == 1 {
			score := int64(element.u64(24))
			peers[i].Score = &score
		}
		if element.u8(32) == 1 {
			address := element.text(36)
			peers[i].Address = &address
		}
	}
	return peers
}

// The failure behind the context, when both come together.
func (m memory) failure() Failure {
	return Failure{Hook: Hook(m.u8(160)), Message: m.text(164), TimedOut: m.u8(172) != 0}
}

// result is what a hook returns: byte 0 tells success (0) from an error (1), which follows at 4.
func result(err error) memory { return resultAt(4, err) }

// resultAt is the same with what follows at another place.
func resultAt(offset uint32, err error) memory {
	m := allocate(56)
	if err != nil {
		var of hookError
		if !errors.As(err, &of) {
			of = hookError{retry, err.Error()}
		}
		m.setU8(0, 1)
		m.setU8(offset, uint8(of.kind))
		m.setText(offset+4, of.text)
	}
	return m
}

//go:wasmexport koi:service/metadata@0.2.0#describe
func describe() unsafe.Pointer {
	of, m := handler.Describe(), allocate(44)
	m.setText(0, of.Name)
	m.setText(8, of.Version)
	m.setText(16, of.Description)
	m.setU8(24, uint8(of.Hooks))
	wants := m.setList(28, len(of.Wants), 36)
	for i, want := range of.Wants {
		element := wants.at(uint32(i) * 36)
		element.setU8(0, uint8(want.kind))
		if want.kind == capabilityExec {
			element.setTexts(4, want.words)
			if want.user != "" {
				element.setU8(12, 1)
				element.setText(16, want.user)
			}
			element.setBool(24, want.keep)
		} else {
			element.setText(4, want.value)
		}
		element.setText(28, want.reason)
	}
	keys := m.setList(36, len(of.Config), 56)
	for i, key := range of.Config {
		element := keys.at(uint32(i) * 56)
		element.setText(0, key.Name)
		element.setText(8, key.Description)
		element.setU8(16, key.Type.kind)
		if key.Type.oneOf != nil {
			element.setTexts(24, key.Type.oneOf)
		} else {
			element.setU64(24, uint64(key.Type.least))
			element.setU64(32, uint64(key.Type.most))
		}
		element.setBool(40, key.Many)
		element.setBool(41, key.Required)
		element.setTexts(44, key.Default)
	}
	return m.start
}

//go:wasmexport koi:service/lifecycle@0.2.0#start
func start(args unsafe.Pointer) unsafe.Pointer {
	return result(handler.Start(memory{args}.context())).start
}

//go:wasmexport koi:service/lifecycle@0.2.0#stop
func stop(args unsafe.Pointer) unsafe.Pointer {
	return result(handler.Stop(memory{args}.context())).start
}

//go:wasmexport koi:service/lifecycle@0.2.0#promote
func promote(args unsafe.Pointer) unsafe.Pointer {
	return result(handler.Promote(memory{args}.context())).start
}

//go:wasmexport koi:service/lifecycle@0.2.0#demote
func demote(args unsafe.Pointer) unsafe.Pointer {
	return result(handler.Demote(memory{args}.context())).start
}

//go:wasmexport koi:service/lifecycle@0.2.0#status
func status(args unsafe.Pointer) unsafe.Pointer {
	report, err := handler.Status(memory{args}.context())
	// A score is aligned to 8, and so is all that follows.
	m := resultAt(8, err)
	if err == nil {
		m.setU8(8, uint8(report.State))
		m.setText(12, report.Message)
		if report.PromotionScore != nil {
			m.setU8(24, 1)
			m.setU64(32, uint64(*report.PromotionScore))
		}
		m.setPairs(40, report.Details)
		processes := m.setList(48, len(report.Processes), 12)
		for i, process := range report.Processes {
			element := processes.at(uint32(i) * 12)
			if process.pidfile == nil {
				element.setU32(4, process.id)
			} else {
				element.setU8(0, 1)
				element.setText(4, *process.pidfile)
			}
		}
	}
	return m.start
}

//go:wasmexport koi:service/lifecycle@0.2.0#failed
func failed(args unsafe.Pointer) unsafe.Pointer {
	return result(handler.Failed(memory{args}.context(), memory{args}.failure())).start
}

//go:wasmimport koi:service/host@0.2.0 log
func hostLog(level Level, message string)

//go:wasmimport koi:service/host@0.2.0 remaining-ms
func hostRemainingMs() uint64

//go:wasmimport koi:service/host@0.2.0 epoch-current
func hostEpochCurrent() uint32

//go:wasmimport koi:service/host@0.2.0 sleep
func hostSleep(ms uint64) uint32

//go:wasmimport koi:service/state@0.2.0 get
func stateGet(key string, result unsafe.Pointer)

//go:wasmimport koi:service/state@0.2.0 set
func stateSet(key string, value string, result unsafe.Pointer)

//go:wasmimport koi:service/state@0.2.0 delete
func stateDelete(key string, result unsafe.Pointer)

//go:wasmimport koi:service/state@0.2.0 keys
func stateKeys(result unsafe.Pointer)

//go:wasmimport koi:service/attributes@0.2.0 read
func attributesRead(fresh uint32, result unsafe.Pointer)

//go:wasmimport koi:service/attributes@0.2.0 set
func attributesSet(key string, value string, result unsafe.Pointer)

//go:wasmimport koi:service/attributes@0.2.0 remove
func attributesRemove(key string, result unsafe.Pointer)
