package directory

import (
	"slices"
	"strings"
)

// Draft returns the statement that would follow the chain's newest, unsigned and
// without a change yet.
func (c *Chain) Draft() *Statement {
	prev := c.Newest()
	return &Statement{Account: prev.Account, Version: prev.Version + 1, Previous: prev.Hash(), Recovery: prev.Recovery,
		Devices: slices.Clone(prev.Devices)}
}

// Add lists a device in a draft, as added at a Unix time or, where the clock is
// behind, when the newest one was (DIR-9).
func (s *Statement) Add(device string, key DeviceKey, at uint64) {
	s.Devices = append(s.Devices, Device{device, key, max(at, s.newest())})
	slices.SortFunc(s.Devices, func(a, b Device) int { return strings.Compare(a.Name, b.Name) })
}

// Drop removes a device from a draft and reports whether it was there.
func (s *Statement) Drop(device string) bool {
	n := len(s.Devices)
	s.Devices = slices.DeleteFunc(s.Devices, func(d Device) bool { return d.Name == device })
	return len(s.Devices) < n
}
