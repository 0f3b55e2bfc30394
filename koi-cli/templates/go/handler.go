// The koi handler @NAME@.
//
// It runs nothing yet: it notes in koi's store what it was last asked to be, and Status answers from that note. Put the
// start and stop of your own software where the notes are made, and a look at it where Status reads them.
//
// A fresh instance of this program serves every call: a variable does not live until the next one, the store does.
package main

import (
	"fmt"
	"strconv"

	"@NAME@/koi"
)

type handler struct{}

func init() { koi.Handle(handler{}) }

// Never called, but Go wants one.
func main() {}

// Describe is what `koi plugins list` shows, and what koi checks a service.toml against.
func (handler) Describe() koi.Metadata {
	return koi.Metadata{
		Name:        "@NAME@",
		Version:     "0.1.0",
		Description: "Notes what it was asked to be, and says so",
		// Hooks that are not in the set are never called and count as done.
		Hooks: koi.AllHooks,
		// Capabilities: what it wants of the node, such as {Kind: koi.TCPConnect, Value: "{address}"}.
		Config: []koi.ConfigKey{
			{Name: "score", Description: "Among the standbys the highest is promoted first"},
		},
	}
}

// Start makes it a standby, whatever a crash left. A service that runs already is a success, so it may well be called twice.
func (handler) Start(ctx koi.Context) error {
	// Wrong configuration is better said now than at the first status.
	if _, err := promotionScore(ctx); err != nil {
		return err
	}
	return koi.Set("role", []byte("standby"))
}

// Stop makes it not run. A service that does not run is a success.
func (handler) Stop(koi.Context) error {
	return koi.Delete("role")
}

// Promote is called on one node only. The epoch grows with every mastership: a call that comes too late shows by it.
func (handler) Promote(ctx koi.Context) error {
	if !koi.EpochCurrent() {
		return koi.Retry(fmt.Sprintf("epoch %d is over; another node is master by now", ctx.Epoch))
	}
	if err := koi.Set("epoch", strconv.AppendUint(nil, ctx.Epoch, 10)); err != nil {
		return err
	}
	return koi.Set("role", []byte("promoted"))
}

// Demote makes it a standby again. The others wait for it: be quick, and let a second call succeed too.
func (handler) Demote(koi.Context) error {
	role, err := koi.Get("role")
	if err != nil || string(role) != "promoted" {
		return err
	}
	return koi.Set("role", []byte("standby"))
}

// Status says how it is. What it says is taken as the truth. It must not change anything.
func (handler) Status(ctx koi.Context) (koi.StatusReport, error) {
	role, err := koi.Get("role")
	if err != nil {
		return koi.StatusReport{}, err
	}
	score, err := promotionScore(ctx)
	if err != nil {
		return koi.StatusReport{}, err
	}
	report := koi.StatusReport{State: koi.Stopped, Message: "not started", PromotionScore: score}
	switch string(role) {
	case "standby":
		report.State, report.Message = koi.Standby, "runs as standby"
	case "promoted":
		report.State, report.Message = koi.Promoted, "runs as promoted"
	}
	if epoch, err := koi.Get("epoch"); err == nil && epoch != nil {
		report.Details = append(report.Details, koi.Pair{Key: "last epoch", Value: string(epoch)})
	}
	return report, nil
}

// Failed comes before Stop, so that it can still look at what is left.
func (handler) Failed(_ koi.Context, cause koi.Failure) error {
	text := fmt.Sprintf("%s failed: %s", cause.Hook, cause.Message)
	if cause.TimedOut {
		text += " (not in time)"
	}
	koi.Log(koi.Warn, text)
	return nil
}

// promotionScore is `score` of `[config]`; nil: it does not say.
func promotionScore(ctx koi.Context) (*int32, error) {
	text, given := ctx.Config("score")
	if !given {
		return nil, nil
	}
	score, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		// Misconfigured: pointless to try anywhere; Fatal: not on this node; Retry and any other error: later.
		return nil, koi.Misconfigured(fmt.Sprintf("score = %q in [config] is not a whole number of 32 bits", text))
	}
	score32 := int32(score)
	return &score32, nil
}
