package directory

import (
	"fmt"
	"slices"
	"strings"

	"writ/internal/wire"
)

// LeafFacts is one leaf of an account on the log, with what the directory says
// it was made from.
type LeafFacts struct {
	Index  uint64
	Leaf   Leaf
	Opened *Opened // nil: nobody showed it
}

// AlarmKind says what a watch found.
type AlarmKind uint8

// The kinds of alarm.
const (
	AlarmUnknown  AlarmKind = iota + 1 // a further list, rightly signed, which this device did not know
	AlarmUnsigned                      // a list that nobody of this account signed
	AlarmSealed                        // a leaf that nobody can open
	AlarmReplaced                      // a known version is another on the log
	AlarmMissing                       // a known version is not on the log
)

// Alarm is a finding of [Watch].
type Alarm struct {
	Kind    AlarmKind
	Version uint64
	Text    string // for the person: what was found and what to do
}

// FindLeaves returns the leaves of a label in a run of entries of the log of
// which the first has index start. Entries that don't parse are left out.
func FindLeaves(label Label, start uint64, entries [][]byte) []LeafFacts {
	var found []LeafFacts
	for i, b := range entries {
		if e, err := ParseEntry(b); err == nil && e.Leaf != nil && e.Leaf.Label == label {
			found = append(found, LeafFacts{Index: start + uint64(i), Leaf: *e.Leaf})
		}
	}
	return found
}

// Watch compares all leaves that the log has of a device's own account, in
// their order, with the statements the device knows; known is nil if it knows
// none. It returns an alarm for each that differs, and none if all is well.
func Watch(known *Chain, seen []LeafFacts) []Alarm {
	w := watch{known: known, chain: known}
	for i, leaf := range seen {
		w.look(uint64(i)+1, leaf)
	}
	if known != nil && known.Version() > uint64(len(seen)) {
		w.alarm(AlarmMissing, known.Version(), "The directory does not show your newest list of devices (version %d): others may still send to devices you removed, or not to those you added. %s", known.Version(), adviceDirectory)
	}
	return w.alarms
}

type watch struct {
	known  *Chain
	chain  *Chain // known, and what rightly followed it
	alarms []Alarm
}

func (w *watch) alarm(kind AlarmKind, version uint64, format string, args ...any) {
	w.alarms = append(w.alarms, Alarm{kind, version, fmt.Sprintf(format, args...)})
}

// look judges the leaf that stands where the statement of that version should.
func (w *watch) look(version uint64, leaf LeafFacts) {
	s, ok := leaf.open()
	switch {
	case !ok:
		w.alarm(AlarmSealed, version, "The directory wrote something under your account (entry %d of its log) and can not show what it is. %s", leaf.Index, adviceDirectory)
	case w.known.has(s) && s.Version == version:
	case w.known.has(s):
		w.alarm(AlarmReplaced, version, "The directory shows your list of devices of version %d in the place of version %d (entry %d of its log). %s", s.Version, version, leaf.Index, adviceDirectory)
	case w.known != nil && version <= w.known.Version():
		w.alarm(AlarmReplaced, version, "The directory shows others a list of your devices (version %d, entry %d of its log) that is not the one you signed. %s", version, leaf.Index, adviceDirectory)
	default:
		w.further(version, leaf.Index, s)
	}
}

// further judges a statement beyond those known.
func (w *watch) further(version, index uint64, s *Statement) {
	longer, err := extend(w.chain, s)
	if err != nil {
		w.alarm(AlarmUnsigned, version, "The directory shows a list of your devices (version %d, entry %d of its log) that none of your devices nor your recovery key made. %s", version, index, adviceDirectory)
		return
	}
	w.alarm(AlarmUnknown, version, "Your devices changed without this one. %s %s", strings.Join(changesSince(w.chain, s), " "), adviceDevice)
	w.chain = longer
}

const (
	adviceDirectory = "The directory lies or is broken. Tell the people you write with, and compare safety numbers with them in person."
	adviceDevice    = "If that was not you, someone has a device or the recovery key of yours: revoke it with another device or with your recovery key, and tell the people you write with."
)

// open returns the statement if it is what the leaf was made from.
func (l LeafFacts) open() (*Statement, bool) {
	if l.Opened == nil || l.Opened.Statement == nil {
		return nil, false
	}
	return l.Opened.Statement, NewLeaf(l.Leaf.Label, l.Opened.Statement, l.Opened.Salt) == l.Leaf
}

// has reports whether s is one of the chain's statements.
func (c *Chain) has(s *Statement) bool {
	return c != nil && s.Version >= 1 && s.Version <= c.Version() && s.Hash() == c.Statement(s.Version).Hash()
}

func extend(c *Chain, s *Statement) (*Chain, error) {
	if c == nil {
		return NewChain(s)
	}
	return c.Follow(s)
}

func changesSince(c *Chain, s *Statement) []string {
	if c == nil {
		return Changes(nil, s)
	}
	return Changes(c.Newest(), s)
}

// Changes says in sentences for people what a statement changed against the
// one before it; prev is nil before version 1.
func Changes(prev, next *Statement) []string {
	who := "The recovery key"
	if next.Signer != "" {
		who = fmt.Sprintf("Device %q", next.Signer)
	}
	if prev == nil {
		prev = &Statement{Recovery: next.Recovery}
	}
	var out []string
	for _, d := range next.Devices {
		if !slices.Contains(prev.Devices, d) {
			out = append(out, fmt.Sprintf("%s added device %q with the key %s.", who, d.Name, Fingerprint(d.Key)))
		}
	}
	for _, d := range prev.Devices {
		if !slices.Contains(next.Devices, d) {
			out = append(out, fmt.Sprintf("%s removed device %q.", who, d.Name))
		}
	}
	if prev.Recovery != next.Recovery {
		out = append(out, fmt.Sprintf("%s was replaced by another.", who))
	}
	return out
}

// Fingerprint returns 16 bytes of Hash("fingerprint", key) in hexadecimal, in
// groups of four digits.
func Fingerprint(key DeviceKey) string {
	h := wire.Hash("fingerprint", key[:])
	var groups []string
	for i := 0; i < 16; i += 2 {
		groups = append(groups, fmt.Sprintf("%x", h[i:i+2]))
	}
	return strings.Join(groups, " ")
}
