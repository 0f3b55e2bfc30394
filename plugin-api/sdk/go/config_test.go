package koi

import (
	"errors"
	"strings"
	"testing"
	"time"
)

var configured = Context{Settings: []Pair{
	{"score", "-7"}, {"patience", "1500"}, {"quiet", "true"}, {"peer", "a"}, {"peer", "b"}, {"password", "hunter2"},
}}

func TestValuesComeInTheTypesOfTheLanguage(t *testing.T) {
	if score, given, err := configured.ConfigInteger("score"); score != -7 || !given || err != nil {
		t.Error(score, given, err)
	}
	if patience, given, err := configured.ConfigDuration("patience"); patience != 1500*time.Millisecond || !given || err != nil {
		t.Error(patience, given, err)
	}
	if quiet, given, err := configured.ConfigBoolean("quiet"); !quiet || !given || err != nil {
		t.Error(quiet, given, err)
	}
	if peers := strings.Join(configured.ConfigAll("peer"), " "); peers != "a b" {
		t.Error(peers)
	}
}

func TestAKeyWithoutAValueHasNone(t *testing.T) {
	if _, given, err := configured.ConfigDuration("none"); given || err != nil {
		t.Error(given, err)
	}
	if _, given := configured.Config("none"); given || configured.ConfigAll("none") != nil {
		t.Error(given)
	}
}

func TestAValueOfAnotherTypeIsToldWithoutShowingIt(t *testing.T) {
	_, _, err := configured.ConfigDuration("password")
	var of hookError
	if !errors.As(err, &of) || of.kind != misconfigured || !strings.Contains(of.text, "password in [config]") || strings.Contains(of.text, "hunter2") {
		t.Error(err)
	}
}
