//go:build wasip1 && changes

package koi

import "unsafe"

// ChangeHandler is a Handler that is told who comes and goes. It is called if it is built with the tag changes, for a world that exports
// koi:service/changes, and says Changed among its hooks.
type ChangeHandler interface {
	Handler
	// Changed is called when the master, the nodes that can be promoted or the nodes that are there are not what it was told last. It adjusts the
	// service, and does not promote it.
	Changed(Context) error
}

//go:wasmexport koi:service/changes@0.2.0#changed
func changed(args unsafe.Pointer) unsafe.Pointer {
	hears, does := handler.(ChangeHandler)
	if !does {
		return result(Unsupported()).start
	}
	return result(hears.Changed(memory{args}.context())).start
}
