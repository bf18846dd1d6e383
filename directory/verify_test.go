package directory

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"writ/internal/wire"
)

// town is a directory of ann with three statements and bob with one, such that
// ann's first two stand under the tree and the third in the tail.
func town(t testing.TB) *server {
	s, c := newServer(t), history(t)
	s.publish(c.Statement(1))
	s.fill(3)
	s.publish(first("bob"))
	s.publish(c.Statement(2))
	s.root()
	s.fill(2)
	s.publish(c.Statement(3))
	s.fill(1)
	return s
}

func TestVerify(t *testing.T) {
	s := town(t)
	v := s.mustVerify("ann")
	laptop, phone := deviceKey("ann/laptop"), deviceKey("ann/phone")
	for _, c := range []struct {
		id   Identity
		key  []byte
		want bool
	}{
		{Identity{"ann", "laptop"}, laptop[:], true},
		{Identity{"ann", "laptop"}, phone[:], false},
		{Identity{"ann", "laptop"}, nil, false},
		{Identity{"ann", "ghost"}, make([]byte, 32), false},
		{Identity{"ann", "phone"}, phone[:], false}, // revoked
		{Identity{"bob", "laptop"}, laptop[:], false},
		{Identity{"ann", "ghost"}, laptop[:], false},
	} {
		if got := v.Has(c.id, c.key); got != c.want {
			t.Errorf("%v with %x: %v", c.id, c.key, got)
		}
	}
	if v.Account() != "ann" || v.Chain().Version() != 3 || v.Pin() != (Pin{3, s.known["ann"][2].Statement.Hash()}) {
		t.Errorf("got %+v", v)
	}
	none := s.mustVerify("nobody")
	if none.Chain() != nil || none.Pin() != (Pin{}) || none.Has(Identity{"nobody", "laptop"}, laptop[:]) {
		t.Errorf("nobody has %+v", none)
	}
}

// DIR-20 to DIR-29. Each case is one lie of a directory or one mistake of a
// reader, in a lookup that is right but for it.
func TestVerifyRules(t *testing.T) {
	type question struct {
		*server
		l       *Lookup
		account string
		at      Facts
		now     time.Time
	}
	for name, c := range map[string]struct {
		change func(*question)
		want   error
		text   string
	}{
		"DIR-21 stale":                      {func(q *question) { q.now = now.Add(maxAge + time.Second) }, ErrRefused, "old"},
		"DIR-21 no age asked for":           {func(q *question) { q.at.MaxAge = 0; q.now = now.Add(time.Second) }, ErrRefused, "old"},
		"DIR-22 another's label":            {func(q *question) { _, q.l.labelProof = q.key.Prove("bob") }, ErrInvalid, "label is not"},
		"DIR-22 answer for another account": {func(q *question) { q.l = q.lookup("bob") }, ErrInvalid, "label is not"},
		"DIR-23 another root":               {func(q *question) { q.at.Root[0] ^= 1 }, ErrInvalid, "not those of the log"},
		"DIR-23 entry swapped": {func(q *question) {
			q.l.tail.entries[1] = Leaf{Label{1}, [32]byte{1}}.Entry()
		}, ErrInvalid, "not those of the log"},
		"DIR-23 end left out":         {func(q *question) { q.l.tail.entries = q.l.tail.entries[:4] }, ErrInvalid, "not the end of a log"},
		"DIR-23 older checkpoint":     {func(q *question) { q.at.Size-- }, ErrInvalid, "not the end of a log"},
		"DIR-23 start beyond the end": {func(q *question) { q.l.tail.start = q.at.Size + 1 }, ErrInvalid, "not the end of a log"},
		"DIR-23 subtree swapped":      {func(q *question) { q.l.tail.left[0][0] ^= 1 }, ErrInvalid, "not those of the log"},
		"DIR-23 subtree missing":      {func(q *question) { q.l.tail.left = q.l.tail.left[1:] }, ErrInvalid, "not those of the log"},
		"DIR-24 not an entry": {func(q *question) {
			q.log.append([]byte("x"))
			q.at, q.l.tail.entries = q.log.facts(), q.log.entries[q.l.tail.start:]
		}, wire.ErrMalformed, "entry"},
		"DIR-24 two roots": {func(q *question) {
			q.log.append(Root{q.l.tail.start, [32]byte{1}}.Entry())
			q.at, q.l.tail.entries = q.log.facts(), q.log.entries[q.l.tail.start:]
		}, ErrInvalid, "two roots"},
		"DIR-24 root not logged": {func(q *question) {
			q.l.tail = span{start: 7, entries: q.log.entries[7:]}
			q.l.tail.left, _ = subtrees(7, q.log)
		}, ErrInvalid, "no root on the log"},
		"DIR-25 tree of another root":      {func(q *question) { q.l.tree = Tree{}.Prove(q.label("ann")) }, ErrInvalid, "another root"},
		"DIR-25 tree proof of another":     {func(q *question) { q.l.tree = q.book.tree.Prove(q.label("bob")) }, ErrInvalid, "tree's"},
		"DIR-26 newest in the tail hidden": {func(q *question) { q.l.chain = q.l.chain[:2] }, ErrInvalid, "newer leaf of the account, at 9"},
		"DIR-26 newest in the tree hidden": {func(q *question) {
			q.l.chain = q.l.chain[:1]
			q.l.path, _ = tlog.ProveRecord(int64(q.at.Size), 0, q.log)
		}, ErrInvalid, "2 leaves of the account, not the 1"},
		"DIR-26 account denied":            {func(q *question) { q.l.chain, q.l.path = nil, nil }, ErrInvalid, "not the 0"},
		"DIR-26 another salt in the tree":  {func(q *question) { q.l.chain[0].Salt[0] ^= 1 }, ErrInvalid, "leaves of the account"},
		"DIR-26 another salt in the tail":  {func(q *question) { q.l.chain[2].Salt[0] ^= 1 }, ErrInvalid, "next leaf on the log"},
		"DIR-26 another place in the tree": {func(q *question) { q.l.chain[0].Index = 1 }, ErrInvalid, "leaves of the account"},
		"DIR-26 another place in the tail": {func(q *question) { q.l.chain[2].Index++ }, ErrInvalid, "next leaf on the log"},
		"DIR-26 place beyond the log":      {func(q *question) { q.l.chain[2].Index = math.MaxUint64 }, ErrInvalid, "next leaf on the log"},
		"DIR-26 leaf shown twice":          {func(q *question) { q.l.chain = append(q.l.chain, q.l.chain[2]) }, ErrInvalid, "next leaf on the log"},
		"DIR-26 order in the tree":         {func(q *question) { q.l.chain[0], q.l.chain[1] = q.l.chain[1], q.l.chain[0] }, ErrInvalid, "leaves of the account"},
		"DIR-26 tail before the tree": {func(q *question) {
			q.l.chain[0], q.l.chain[1], q.l.chain[2] = q.l.chain[2], q.l.chain[0], q.l.chain[1]
		}, ErrInvalid, "not the 0 shown"},
		"DIR-27 no path":                      {func(q *question) { q.l.path = nil }, ErrInvalid, "leaf at 5 is not on the log"},
		"DIR-27 path of a leaf that is older": {func(q *question) { q.l.path, _ = tlog.ProveRecord(int64(q.at.Size), 0, q.log) }, ErrInvalid, "leaf at 5 is not"},
		"DIR-29 rollback":                     {func(q *question) { q.at.Known = Pin{4, StatementHash{}} }, ErrRollback, "version 4 is gone"},
		"DIR-29 replaced":                     {func(q *question) { q.at.Known = Pin{2, StatementHash{1}} }, ErrRollback, "version 2 is another"},
		"DIR-28 added in the future":          {func(q *question) { q.now = time.Unix(added, 0).Add(-MaxAhead - time.Second) }, ErrInvalid, "in the future"},
		"DIR-28 before 1970":                  {func(q *question) { q.now = time.Unix(0, 0).Add(-2 * MaxAhead) }, ErrInvalid, "in the future"},
	} {
		s := town(t)
		q := &question{s, s.lookup("ann"), "ann", s.log.facts(), now}
		c.change(q)
		v, err := Verify(q.l.Encode(), q.account, q.key.Public(), q.at, q.now)
		if v != nil || !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v; want %v with %q", name, err, c.want, c.text)
		}
	}
}

// What a directory can do that writes its own log: each time the lookup is
// formed as well as it can be, and one rule stands against it.
func TestLyingDirectory(t *testing.T) {
	newest := func(s *server) *Statement { all := s.known["ann"]; return all[len(all)-1].Statement }
	for name, c := range map[string]struct {
		lie  func(s *server)
		text string
	}{
		"DIR-28 invents a statement": {func(s *server) {
			x := after(newest(s), func(x *Statement) { x.add("ghost") })
			x.SignAs("laptop", DeviceSigner(keyOf("directory")))
			s.publish(x)
		}, "wrong signature"},
		"DIR-28 signs as its ghost": {func(s *server) {
			s.publish(after(newest(s), func(x *Statement) { x.add("ghost") }).by("ghost"))
		}, "does not list"},
		"DIR-26 begins the account anew": {func(s *server) {
			x := first("ann")
			x.Devices[0].Key, x.Recovery = deviceKey("ghost"), recoveryKey("ghost recovery")
			x.SignAs("phone", DeviceSigner(keyOf("ghost")))
			s.known["ann"] = nil
			s.publish(x)
		}, "the account"},
		"DIR-28 gives her bob's devices": {func(s *server) {
			s.known["eve"] = nil
			s.publishAs("eve", first("bob"))
		}, `statements of "bob"`},
		"DIR-28 begins with a later version": {func(s *server) { s.publishAs("eve", history(s).Statement(2)) }, "begins with version 2"},
		"DIR-28 a first statement nobody signed": {func(s *server) {
			x := first("eve")
			x.SignAs("phone", DeviceSigner(keyOf("directory")))
			s.publish(x)
		}, "not signed by its device"},
	} {
		for _, rooted := range []bool{false, true} {
			s := town(t)
			c.lie(s)
			if rooted {
				s.root()
			}
			account := "ann"
			if s.known["eve"] != nil {
				account = "eve"
			}
			if v, err := s.verify(account); v != nil || !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%s (rooted %v): %v; want %q", name, rooted, err, c.text)
			}
		}
	}
}

// A leaf that is in the directory's tree but not on its log: the tree alone is
// not believed.
func TestLeafOnlyInTheTree(t *testing.T) {
	s := newServer(t)
	ann := first("ann")
	leaf := NewLeaf(s.label("ann"), ann, [32]byte{1})
	lie := Tree{}.With(Update{s.label("ann"), Value{}.Next(0, leaf)})
	s.fill(1)
	s.log.append(Root{1, lie.Root()}.Entry())
	l := &Lookup{chain: []Opened{{ann, [32]byte{1}, 0}}, tail: span{start: 1, entries: s.log.entries[1:]}, tree: lie.Prove(s.label("ann"))}
	_, l.labelProof = s.key.Prove("ann")
	l.tail.left, _ = subtrees(1, s.log)
	l.path, _ = tlog.ProveRecord(2, 0, s.log)
	if _, err := Verify(l.Encode(), "ann", s.key.Public(), s.log.facts(), now); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "is not on the log") {
		t.Errorf("got %v", err)
	}
}

// An answer under an older root holds while a newer one stands in the tail: all
// of the tail is shown, and the root that counts is the one of its start.
func TestOlderRoot(t *testing.T) {
	s := town(t)
	l := s.lookup("ann")
	s.log.append(s.book.Root().Entry())
	l.tail.entries = s.log.entries[l.tail.start:]
	l.path, _ = tlog.ProveRecord(int64(len(s.log.entries)), 5, s.log)
	v, err := Verify(l.Encode(), "ann", s.key.Public(), s.log.facts(), now)
	if err != nil || v.Chain().Version() != 3 {
		t.Error(err)
	}
}

func TestScanHasNoTree(t *testing.T) {
	s := newServer(t)
	s.publish(first("ann"))
	s.fill(MaxTail - 1)
	s.mustVerify("ann")
	s.mustVerify("nobody")
	l := s.lookup("ann")
	l.path = []tlog.Hash{{}}
	if _, err := Verify(l.Encode(), "ann", s.key.Public(), s.log.facts(), now); err == nil || !strings.Contains(err.Error(), "path without") {
		t.Errorf("a path: %v", err)
	}
	l = s.lookup("ann")
	l.tree = Tree{}.Prove(s.label("ann"))
	if _, err := Verify(l.Encode(), "ann", s.key.Public(), s.log.facts(), now); err == nil || !strings.Contains(err.Error(), "a tree where") {
		t.Errorf("a tree: %v", err)
	}
	s.fill(1)
	label, proof := s.key.Prove("ann")
	if _, err := s.book.Lookup(label, proof, s.known["ann"], s.log); !errors.Is(err, ErrRefused) {
		t.Errorf("a tail of %d: %v", MaxTail+1, err)
	}
	if !s.book.Due() {
		t.Error("no root is due")
	}
	s.root()
	s.mustVerify("ann")
	s.mustVerify("nobody")
	if s.book.Due() {
		t.Error("a root is due after one")
	}
}

// actor makes random honest histories.
type actor struct {
	*server
	t     *rapid.T
	names []string
	seen  map[string][]*Verified
}

func (a *actor) step(i int) {
	account := rapid.SampledFrom(a.names).Draw(a.t, "account")
	all := a.known[account]
	switch kind := rapid.IntRange(0, 9).Draw(a.t, "kind"); {
	case kind == 0:
		a.root()
	case kind == 1:
		a.fill(rapid.IntRange(1, 40).Draw(a.t, "fill"))
	case len(all) == 0:
		a.publish(first(account))
	default:
		newest := all[len(all)-1].Statement
		signer := ""
		if n := len(newest.Devices); n > 0 && kind < 8 {
			signer = newest.Devices[rapid.IntRange(0, n-1).Draw(a.t, "signer")].Name
		}
		a.publish(after(newest, func(s *Statement) {
			if n := len(s.Devices); n == MaxDevices || n > 0 && kind%2 == 0 {
				s.remove(s.Devices[rapid.IntRange(0, n-1).Draw(a.t, "removed")].Name)
			} else {
				s.add(fmt.Sprint("d", i))
			}
		}).by(signer))
	}
	if a.book.Due() && len(a.log.entries) > 100 {
		a.root()
	}
}

// look verifies an account and holds it to the model.
func (a *actor) look(account string) {
	at, past := a.log.facts(), a.seen[account]
	if len(past) > 0 {
		at.Known = past[len(past)-1].Pin()
	}
	v, err := Verify(a.lookup(account).Encode(), account, a.key.Public(), at, now)
	if err != nil {
		a.t.Fatalf("%s: %v", account, err)
	}
	want := &Statement{}
	if all := a.known[account]; len(all) > 0 {
		want = all[len(all)-1].Statement
	}
	for _, name := range append([]string{"phone"}, v.deviceNames()...) {
		key := deviceKey(account + "/" + name)
		if _, listed := want.Device(name); v.Has(Identity{account, name}, key[:]) != listed {
			a.t.Fatalf("%s/%s: listed %v", account, name, listed)
		}
	}
	for _, old := range past {
		if err := Compare(v, old); err != nil {
			a.t.Fatal(err)
		}
	}
	if alarms := Watch(v.Chain(), v.Leaves()); alarms != nil {
		a.t.Fatalf("%s: %v", account, alarms)
	}
	a.seen[account] = append(past, v)
}

func (v *Verified) deviceNames() (names []string) {
	if v.chain == nil {
		return nil
	}
	for i := range v.chain.statements {
		for _, d := range v.chain.statements[i].Devices {
			names = append(names, d.Name)
		}
	}
	return names
}

// Every lookup of an honest directory verifies and says what was published; no
// two contradict each other; no bit of one can change.
func TestRandomHistories(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a := &actor{newServer(t), rt, []string{"ann", "bob", "eve"}, map[string][]*Verified{}}
		a.fill(1)
		for i := range rapid.IntRange(1, 40).Draw(rt, "steps") {
			a.step(i)
			if rapid.IntRange(0, 4).Draw(rt, "look") == 0 {
				a.look(rapid.SampledFrom(a.names).Draw(rt, "whom"))
			}
		}
		for _, n := range append(a.names, "nobody") {
			a.look(n)
		}
		b := a.lookup("ann").Encode()
		for range 5 {
			changed := bytes.Clone(b)
			changed[rapid.IntRange(0, len(b)-1).Draw(rt, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
			if _, err := Verify(changed, "ann", a.key.Public(), a.log.facts(), now); err == nil {
				rt.Fatal("changed lookup accepted")
			}
		}
	})
}

func TestLookupForm(t *testing.T) {
	l := town(t).lookup("ann")
	b := l.Encode()
	if got, err := ParseLookup(b); err != nil || !bytes.Equal(got.Encode(), b) {
		t.Fatal(err)
	}
	chain := slices.Repeat(l.chain[:1], MaxVersion+1)
	tail := slices.Repeat(l.tail.entries[:1], MaxTail+1)
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"DIR-20 another version":     {append([]byte{0, 2}, b[2:]...), ErrUnsupported},
		"DIR-20 trailing":            {append(bytes.Clone(b), 0), wire.ErrMalformed},
		"DIR-20 long":                {make([]byte, MaxLookup+1), wire.ErrMalformed},
		"DIR-20 513 statements":      {(&Lookup{labelProof: l.labelProof, chain: chain}).Encode(), wire.ErrMalformed},
		"DIR-20 257 entries":         {(&Lookup{labelProof: l.labelProof, tail: span{entries: tail}}).Encode(), wire.ErrMalformed},
		"DIR-20 no tree":             {(&Lookup{labelProof: l.labelProof, tail: span{start: 1}}).Encode(), wire.ErrMalformed},
		"DIR-20 64 hashes of a path": {(&Lookup{labelProof: l.labelProof, path: make([]tlog.Hash, 64)}).Encode(), wire.ErrMalformed},
	} {
		if got, err := ParseLookup(c.b); got != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The longest history fits.
func TestLongestHistory(t *testing.T) {
	s := newServer(t)
	x := first("ann")
	for i := range MaxVersion {
		s.publish(x)
		if s.book.Due() {
			s.root()
		}
		x = after(x, func(s *Statement) {
			for _, d := range x.Devices[1:] { // keep the first, change fifteen
				s.remove(d.Name)
			}
			for j := range MaxDevices - 1 {
				s.add(fmt.Sprintf("x%d.%d%s", i, j, strings.Repeat("a", 54)))
			}
		}).by(x.Devices[0].Name)
	}
	b := s.lookup("ann").Encode()
	start := time.Now()
	if v := s.mustVerify("ann"); v.Chain().Version() != MaxVersion {
		t.Error("not all versions")
	}
	t.Logf("%d statements: %d bytes, verified in %v", MaxVersion, len(b), time.Since(start))
	if _, err := s.mustVerify("ann").Chain().Follow(x); !errors.Is(err, ErrInvalid) {
		t.Errorf("version %d: %v", x.Version, err)
	}
}

func FuzzVerify(f *testing.F) {
	s := town(f)
	for _, a := range []string{"ann", "bob", "nobody"} {
		f.Add(s.lookup(a).Encode(), a)
	}
	at, truth := s.log.facts(), map[string]uint64{"ann": 3, "bob": 1}
	f.Fuzz(func(t *testing.T, b []byte, account string) {
		if l, err := ParseLookup(b); err == nil && !bytes.Equal(l.Encode(), b) {
			t.Fatalf("%x encodes as %x", b, l.Encode())
		}
		if v, err := Verify(b, account, s.key.Public(), at, now); err == nil && v.Pin().Version != truth[account] {
			t.Fatalf("%q proven to have version %d", account, v.Pin().Version)
		}
	})
}
