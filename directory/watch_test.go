package directory

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// A person's device compares the log with what it knows; each finding says in
// words what happened and what to do.
func TestWatch(t *testing.T) {
	c := history(t)
	label := Label{1}
	leafOf := func(i uint64, s *Statement) LeafFacts {
		o := &Opened{s, [32]byte{byte(i)}, i}
		return LeafFacts{i, NewLeaf(label, s, o.Salt), o}
	}
	right := []LeafFacts{leafOf(4, c.Statement(1)), leafOf(7, c.Statement(2)), leafOf(9, c.Statement(3))}
	older, err := NewChain(c.Statement(1))
	if err != nil {
		t.Fatal(err)
	}
	unsigned := after(c.Newest(), func(s *Statement) { s.add("ghost") })
	unsigned.SignAs("laptop", DeviceSigner(keyOf("directory")))
	forged := after(c.Statement(1), func(s *Statement) { s.add("ghost") }).by("phone")
	sealed := LeafFacts{11, Leaf{label, [32]byte{9}}, nil}
	wrong := leafOf(12, c.Newest())
	wrong.Opened = &Opened{Statement: c.Newest(), Salt: [32]byte{99}}
	recovered := after(c.Newest(), func(s *Statement) { s.remove("laptop"); s.add("new"); s.Recovery = recoveryKey("new") }).by("")
	for name, x := range map[string]struct {
		known *Chain
		seen  []LeafFacts
		kinds []AlarmKind
		text  []string
	}{
		"all well":         {c, right, nil, nil},
		"nothing at all":   {nil, nil, nil, nil},
		"not ours":         {nil, right[:1], []AlarmKind{AlarmUnknown}, []string{`Device "phone" added device "phone"`}},
		"two unknown":      {older, right, []AlarmKind{AlarmUnknown, AlarmUnknown}, []string{`Device "phone" added device "laptop"`, `Device "laptop" removed device "phone"`}},
		"by recovery":      {c, append(slices.Clone(right), leafOf(11, recovered)), []AlarmKind{AlarmUnknown}, []string{"The recovery key was replaced"}},
		"ghost unsigned":   {c, append(slices.Clone(right), leafOf(11, unsigned)), []AlarmKind{AlarmUnsigned}, []string{"version 4, entry 11"}},
		"ghost unopened":   {c, append(slices.Clone(right), sealed), []AlarmKind{AlarmSealed}, []string{"entry 11"}},
		"wrong opening":    {c, append(slices.Clone(right), wrong), []AlarmKind{AlarmSealed}, []string{"can not show"}},
		"replaced":         {c, []LeafFacts{right[0], leafOf(7, forged), right[2]}, []AlarmKind{AlarmReplaced}, []string{"not the one you signed"}},
		"twice":            {c, append(slices.Clone(right), leafOf(11, c.Newest())), []AlarmKind{AlarmReplaced}, []string{"version 3 in the place of version 4"}},
		"newest missing":   {c, right[:2], []AlarmKind{AlarmMissing}, []string{"does not show your newest"}},
		"all missing":      {c, nil, []AlarmKind{AlarmMissing}, []string{"version 3"}},
		"ghost, then more": {older, []LeafFacts{right[0], sealed, right[1]}, []AlarmKind{AlarmSealed, AlarmUnknown}, []string{"entry 11", "laptop"}},
	} {
		alarms := Watch(x.known, x.seen)
		var kinds []AlarmKind
		for i, a := range alarms {
			kinds = append(kinds, a.Kind)
			if i < len(x.text) && !strings.Contains(a.Text, x.text[i]) {
				t.Errorf("%s: %q, want %q in it", name, a.Text, x.text[i])
			}
			if !strings.Contains(a.Text, "people you write with") {
				t.Errorf("%s: no advice in %q", name, a.Text)
			}
		}
		if !slices.Equal(kinds, x.kinds) {
			t.Errorf("%s: %v, want %v", name, alarms, x.kinds)
		}
	}
}

// A device that reads the log itself finds each leaf under its label, without
// the directory's help.
func TestFindLeaves(t *testing.T) {
	s := town(t)
	found := FindLeaves(s.label("ann"), 0, s.log.entries)
	var indexes []uint64
	for _, l := range found {
		indexes = append(indexes, l.Index)
	}
	if !slices.Equal(indexes, []uint64{0, 5, 9}) {
		t.Errorf("found at %v", indexes)
	}
	if got := FindLeaves(s.label("ann"), 5, append(s.log.entries[5:], []byte("x"))); len(got) != 2 || got[0].Index != 5 {
		t.Errorf("found %v", got)
	}
	alarms := Watch(s.mustVerify("ann").Chain(), found)
	if len(alarms) != 3 || alarms[0].Kind != AlarmSealed {
		t.Errorf("leaves that nobody opened: %v", alarms)
	}
}

// fork is a second history of the same log: what the directory showed to
// someone else, cut at a size and gone on differently.
func (s *server) fork(size int) *server {
	f := newServer(s.TB)
	for _, e := range s.log.entries[:size] {
		f.append(e)
	}
	for account, all := range s.known {
		for _, o := range all {
			if o.Index < uint64(size) {
				f.known[account] = append(f.known[account], o)
			}
		}
	}
	return f
}

// A directory that shows different logs to different people is convicted by
// any two lookups that meet, if one account's history differs.
func TestSplitView(t *testing.T) {
	s := town(t)
	v := s.mustVerify("ann")
	hidden := s.fork(9) // before version 3
	hidden.fill(2)      // as long as the other, without it
	contradicts := func(name string, a, b *Verified, text string) {
		t.Helper()
		var c *Contradiction
		for _, err := range []error{Compare(a, b), Compare(b, a)} {
			if !errors.As(err, &c) || c.Account != "ann" || !strings.Contains(c.Error(), text) {
				t.Errorf("%s: %v; want %q", name, err, text)
			}
		}
	}
	contradicts("one size", v, hidden.mustVerify("ann"), "two roots for 11 entries")
	hidden.fill(1)
	contradicts("later without it", v, hidden.mustVerify("ann"), "is gone")
	late := s.fork(9)
	late.fill(4)
	late.root()
	late.publish(s.known["ann"][2].Statement)
	contradicts("elsewhere", v, late.mustVerify("ann"), "version 3 is another")
	early := s.fork(6)
	early.fill(4) // ten entries and no version 3, of which s says it stands at 9
	contradicts("hidden", v, early.mustVerify("ann"), "hidden when the log had 10")
	moved, other := *v, *v // each differs in one point alone
	moved.leaves, other.leaves = slices.Clone(v.leaves), slices.Clone(v.leaves)
	moved.leaves[1].Index--
	other.leaves[1].Leaf.Commitment[0] ^= 1
	contradicts("moved", v, &moved, "version 2 is another")
	contradicts("other", v, &other, "version 2 is another")
	if err := Compare(v, s.mustVerify("bob")); !errors.Is(err, ErrInvalid) {
		t.Errorf("two accounts: %v", err)
	}
	if err := Compare(v, v); err != nil {
		t.Errorf("with itself: %v", err)
	}
	if err := Compare(v, s.fork(6).mustVerify("ann")); err != nil {
		t.Errorf("an earlier, honest view: %v", err)
	}
}

// A rollback is noticed by a reader who keeps the pin, and by the account's own
// device in plain words.
func TestRollback(t *testing.T) {
	s := town(t)
	v := s.mustVerify("ann")
	old := s.fork(9)
	old.fill(20)
	at := old.log.facts()
	b := old.lookup("ann").Encode()
	stranger, err := Verify(b, "ann", s.key.Public(), at, now)
	if err != nil {
		t.Fatalf("to one who knows nothing it is right: %v", err)
	}
	at.Known = v.Pin()
	if _, err := Verify(b, "ann", s.key.Public(), at, now); !errors.Is(err, ErrRollback) || !errors.Is(err, ErrRefused) {
		t.Errorf("pinned: %v", err)
	}
	never := newServer(t)
	never.fill(20)
	at = never.log.facts()
	at.Known = v.Pin()
	if _, err := Verify(never.lookup("ann").Encode(), "ann", s.key.Public(), at, now); !errors.Is(err, ErrRollback) {
		t.Errorf("the account is gone: %v", err)
	}
	alarms := Watch(v.Chain(), stranger.Leaves())
	if len(alarms) != 1 || alarms[0].Kind != AlarmMissing {
		t.Errorf("own device: %v", alarms)
	}
	if Compare(v, stranger) == nil {
		t.Error("the two answers do not convict")
	}
}

// The directory logs a false root, in which ann's newest list is missing, and
// shows bob a view under it. Bob believes it; the auditor who replays the log
// finds the root, and bob's two answers convict the log.
func TestFalseRoot(t *testing.T) {
	s := town(t)
	truth := NewBook()
	for _, e := range s.log.entries {
		if err := truth.Apply(e); err != nil {
			t.Fatal(err)
		}
	}
	withhold := Tree{}.With(Update{s.label("ann"), s.valueOf("ann", 2)}, Update{s.label("bob"), s.valueOf("bob", 1)})
	wrong := Root{s.book.Size(), withhold.Root()}
	if err := truth.Apply(wrong.Entry()); !errors.Is(err, ErrInvalid) {
		t.Errorf("auditor: %v", err)
	}
	s.log.append(wrong.Entry())
	l := &Lookup{chain: s.known["ann"][:2], tail: span{start: wrong.Size, entries: s.log.entries[wrong.Size:]}, tree: withhold.Prove(s.label("ann"))}
	_, l.labelProof = s.key.Prove("ann")
	l.tail.left, _ = subtrees(wrong.Size, s.log)
	l.path, _ = tlog.ProveRecord(int64(len(s.log.entries)), 5, s.log)
	lie, err := Verify(l.Encode(), "ann", s.key.Public(), s.log.facts(), now)
	if err != nil || lie.Pin().Version != 2 {
		t.Fatalf("the lie as such: %v", err)
	}
	if alarms := Watch(history(t), lie.Leaves()); len(alarms) != 1 || alarms[0].Kind != AlarmMissing {
		t.Errorf("ann's device, shown the same: %v", alarms)
	}
	if err := s.book.Apply(wrong.Entry()); err == nil {
		t.Error("the directory's own book took it")
	}
	s.root()
	if err := Compare(lie, s.mustVerify("ann")); err == nil || !strings.Contains(err.Error(), "was hidden") {
		t.Errorf("bob's two answers: %v", err)
	}
}

// valueOf is what a tree says of an account that has n leaves.
func (s *server) valueOf(account string, n int) (v Value) {
	for _, o := range s.known[account][:n] {
		v = v.Next(o.Index, NewLeaf(s.label(account), o.Statement, o.Salt))
	}
	return v
}

// A directory that adds a leaf nobody can open closes the account: it can
// neither hide it nor make anyone believe anything of it.
func TestJunkLeafIsSeen(t *testing.T) {
	for _, rooted := range []bool{false, true} {
		s := town(t)
		s.append(Leaf{s.label("ann"), [32]byte{1}}.Entry())
		if rooted {
			s.root()
		}
		if _, err := s.verify("ann"); !errors.Is(err, ErrInvalid) {
			t.Errorf("rooted %v: %v", rooted, err)
		}
		alarms := Watch(history(t), FindLeaves(s.label("ann"), 0, s.log.entries))
		if len(alarms) != 4 {
			t.Errorf("own device: %v", alarms)
		}
	}
}

func TestChanges(t *testing.T) {
	c := history(t)
	got := Changes(c.Statement(1), c.Statement(2))
	want := `Device "phone" added device "laptop" with the key ` + Fingerprint(deviceKey("ann/laptop")) + "."
	if len(got) != 1 || got[0] != want || len(Fingerprint(DeviceKey{})) != 39 {
		t.Errorf("got %q, want %q", got, want)
	}
}
