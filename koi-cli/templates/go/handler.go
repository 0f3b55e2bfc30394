// The koi handler @NAME@.
//
// It runs nothing yet: it notes in koi's store what it was last asked to be, and Status answers from that note. Put the
// start and stop of your own software where the notes are made, and a look at it where Status reads them.
//
// A fresh instance of this program serves every call: a variable does not live until the next one, the store does.
package main

import (
	"fmt"
	"math"
	"strconv"
@IF exec@
	"strings"
@END@

	"@NAME@/koi"
)

@IF exec@
const df = "/usr/bin/df"

@END@
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
@IF none@
		// Wants: what it wants of the node, such as koi.WantTCP("To ask it how it is", "{address}").
@ELSE@
		// What it wants of the node. A key in braces that has no value makes no want.
		Wants: []koi.Want{
@IF exec@
			koi.WantExec("To see how full the disk is", df, "--output=pcent", "--", "{path}"),
@END@
@IF tcp@
			koi.WantTCP("To see whether it answers", "{address}"),
@END@
@IF http@
			koi.WantHTTP("To see how the web server is", "{web}"),
@END@
		},
@END@
		Config: []koi.ConfigKey{
			{Name: "score", Type: koi.Integer(math.MinInt32, math.MaxInt32), Description: "Among the standbys the highest is promoted first"},
@IF exec@
			{Name: "path", Type: koi.Text, Description: "Whose file system is looked at"},
@END@
@IF tcp@
			{Name: "address", Type: koi.Address, Description: "Where it listens, as ip:port"},
@END@
@IF http@
			{Name: "web", Type: koi.Address, Description: "Which web server is asked, as host:port"},
@END@
@IF any@
			{Name: "patience", Type: koi.Duration, Default: []string{"2s"}, Description: "How long a look may take"},
@ELSE@
			// {Name: "address", Type: koi.Address, Required: true, Description: "Where it listens"},
			// {Name: "patience", Type: koi.Duration, Default: []string{"30s"}, Description: "How long it may take"},
@END@
			// {Name: "password", Type: koi.Secret, Description: "Of the user koi"},
		},
	}
}

// Start makes it a standby, whatever a crash left. A service that runs already is a success, so it may well be called twice.
// An error is to be tried again later; koi.Fatal is not on this node; koi.Misconfigured is pointless anywhere before [config] is mended.
func (handler) Start(koi.Context) error {
	return koi.Set("role", []byte("standby"))
}

// Stop makes it not run. A service that does not run is a success.
func (handler) Stop(koi.Context) error {
	return koi.Delete("role")
}

// Promote is called on one node only. The epoch grows with every mastership: a call that comes too late shows by it. What all nodes are
// to know, such as where the data is newest, goes into the group's attributes: koi.SetAttribute.
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

// Status says how it is. What it says is taken as the truth. It must not change anything. Of a service that runs in processes of this
// node put koi.Pidfile(…) or koi.PID(…) into Processes: koi asks for its status at once when one ends.
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
@IF any@
	if role != nil {
		details, err := look(ctx)
		if err != nil {
			return koi.StatusReport{}, err
		}
		report.Details = append(report.Details, details...)
	}
@END@
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

@IF any@
// look looks at what is configured. What it sees is told in the details; what is wrong fails the status.
func look(ctx koi.Context) (details []koi.Pair, err error) {
	patience, _, err := ctx.ConfigDuration("patience")
	if err != nil {
		return nil, err
	}
@IF exec@
	if path, given := ctx.Config("path"); given {
		said, err := koi.Run(patience, df, "--output=pcent", "--", path)
		if err != nil {
			return nil, err
		}
		// A heading, and the number below it.
		_, used, _ := strings.Cut(strings.TrimSpace(said), "\n")
		details = append(details, koi.Pair{Key: path, Value: strings.TrimSpace(used)})
	}
@END@
@IF tcp@
	if address, given := ctx.Config("address"); given {
		connection, err := koi.Connect(address, patience) // Its Send and Line would speak with it.
		if err != nil {
			return nil, err
		}
		connection.Close()
		details = append(details, koi.Pair{Key: address, Value: "answers"})
	}
@END@
@IF http@
	if web, given := ctx.Config("web"); given {
		answer, err := koi.HTTPGet("http://"+web+"/", patience)
		if err != nil {
			return nil, err
		}
		details = append(details, koi.Pair{Key: web, Value: strconv.Itoa(answer.Status)})
	}
@END@
	return details, nil
}

@END@
// promotionScore is `score` of [config]; nil: it does not say.
func promotionScore(ctx koi.Context) (*int64, error) {
	score, given, err := ctx.ConfigInteger("score")
	if !given || err != nil {
		return nil, err
	}
	return &score, nil
}
