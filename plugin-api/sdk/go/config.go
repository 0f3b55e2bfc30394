package koi

import (
	"fmt"
	"strconv"
	"time"
)

// Config is the value of key in [config], as a text.
func (c Context) Config(key string) (value string, given bool) {
	for _, pair := range c.Settings {
		if pair.Key == key {
			return pair.Value, true
		}
	}
	return "", false
}

// ConfigAll is all values of a key that may have many.
func (c Context) ConfigAll(key string) []string {
	var values []string
	for _, pair := range c.Settings {
		if pair.Key == key {
			values = append(values, pair.Value)
		}
	}
	return values
}

// ConfigInteger is the value of a key of the type Integer.
func (c Context) ConfigInteger(key string) (value int64, given bool, err error) {
	text, given := c.Config(key)
	if !given {
		return 0, false, nil
	}
	if value, err = strconv.ParseInt(text, 10, 64); err != nil {
		return 0, true, notA(key, "whole number")
	}
	return value, true, nil
}

// ConfigBoolean is the value of a key of the type Boolean.
func (c Context) ConfigBoolean(key string) (value, given bool, err error) {
	switch text, given := c.Config(key); {
	case !given:
		return false, false, nil
	case text == "true" || text == "false":
		return text == "true", true, nil
	default:
		return false, true, notA(key, "truth value")
	}
}

// ConfigDuration is the value of a key of the type Duration.
func (c Context) ConfigDuration(key string) (value time.Duration, given bool, err error) {
	ms, given, err := c.ConfigInteger(key)
	if err != nil {
		return 0, given, notA(key, "number of milliseconds")
	}
	return time.Duration(ms) * time.Millisecond, given, nil
}

// koid has seen to it that a value is of its key's type: then the key has another one. The value may be a secret, and is not shown.
func notA(key, what string) error {
	return Misconfigured(fmt.Sprintf("%s in [config] is not a %s", key, what))
}
