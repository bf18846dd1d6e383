package directory

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"writ/internal/wire"
)

// history is an account with a phone, then a laptop too, then only the laptop.
func history(t testing.TB) *Chain {
	t.Helper()
	v1 := first("ann")
	v2 := after(v1, func(s *Statement) { s.add("laptop") }).by("phone")
	v3 := after(v2, func(s *Statement) { s.remove("phone") }).by("laptop")
	c, err := NewChain(v1, v2, v3)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestStatementRoundTrip(t *testing.T) {
	c := history(t)
	for v := uint64(1); v <= c.Version(); v++ {
		s := c.Statement(v)
		got, err := Parse(s.Encode())
		if err != nil || !bytes.Equal(got.Encode(), s.Encode()) || got.Hash() != s.Hash() {
			t.Errorf("version %d: %v", v, err)
		}
	}
}

// DIR-1 to DIR-4: what is refused of a statement by itself.
func TestParseRules(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Statement)
		want   error
		text   string
	}{
		"DIR-2 version 0":              {func(s *Statement) { s.Version = 0 }, ErrInvalid, "version 0"},
		"DIR-3 added after 9999":       {func(s *Statement) { s.Devices[0].Added = wire.MaxTime + 1 }, ErrInvalid, "after the year 9999"},
		"DIR-2 version above":          {func(s *Statement) { s.Version = MaxVersion + 1 }, ErrInvalid, "version 513"},
		"DIR-1 account no name":        {func(s *Statement) { s.Account = "Ann" }, wire.ErrMalformed, "not a name"},
		"DIR-1 device no name":         {func(s *Statement) { s.Devices[0].Name = "a b" }, wire.ErrMalformed, "not a name"},
		"DIR-1 signer no name":         {func(s *Statement) { s.Signer = "a b" }, wire.ErrMalformed, "signer"},
		"DIR-1 devices unsorted":       {func(s *Statement) { s.add("x"); slices.Reverse(s.Devices) }, wire.ErrMalformed, "out of order"},
		"DIR-1 device twice":           {func(s *Statement) { s.add("phone") }, wire.ErrMalformed, "out of order"},
		"DIR-1 17 devices":             {func(s *Statement) { many(s, 17) }, wire.ErrMalformed, "more than 16"},
		"DIR-3 one key, two devices":   {func(s *Statement) { s.Version = 2; s.add("x"); s.Devices[1].Key = s.Devices[0].Key }, ErrInvalid, "one key"},
		"DIR-3 recovery key is device": {func(s *Statement) { s.Recovery = RecoveryKey(s.Devices[0].Key) }, ErrInvalid, "is the recovery key"},
		"DIR-4 first with previous":    {func(s *Statement) { s.Previous[0] = 1 }, ErrInvalid, "first statement"},
		"DIR-4 first of none":          {func(s *Statement) { s.Devices = nil }, ErrInvalid, "first statement"},
		"DIR-4 first of two":           {func(s *Statement) { s.add("x") }, ErrInvalid, "first statement"},
		"DIR-4 first by recovery":      {func(s *Statement) { s.Signer = "" }, ErrInvalid, "first statement"},
		"DIR-4 first by another":       {func(s *Statement) { s.Signer = "x" }, ErrInvalid, "first statement"},
	} {
		s := first("ann")
		c.change(s)
		got, err := Parse(s.Encode())
		if got != nil || !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, %v; want %v with %q", name, got, err, c.want, c.text)
		}
	}
	s := first("ann")
	s.Version, s.Devices = 2, nil
	if many(s, 16); len(s.Devices) != 16 {
		t.Fatal("not sixteen devices")
	}
	if _, err := Parse(s.Encode()); err != nil {
		t.Errorf("sixteen devices: %v", err)
	}
	b := first("ann").Encode()
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"DIR-1 another format": {append([]byte{0, 2}, b[2:]...), ErrUnsupported},
		"DIR-1 trailing":       {append(bytes.Clone(b), 0), wire.ErrMalformed},
		"DIR-1 cut":            {b[:len(b)-1], wire.ErrMalformed},
		"DIR-1 empty":          {nil, wire.ErrMalformed},
		"DIR-1 long":           {append(bytes.Clone(b), make([]byte, MaxStatement)...), wire.ErrMalformed},
	} {
		if got, err := Parse(c.b); got != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if _, err := Parse(append(bytes.Clone(b), make([]byte, MaxStatement)...)); !strings.Contains(err.Error(), "statement of 22") {
		t.Errorf("read a long statement before refusing it: %v", err)
	}
}

func many(s *Statement, n int) {
	for i := len(s.Devices); i < n; i++ {
		s.add("d" + string(rune('a'+i)))
	}
}

// DIR-5 to DIR-10: which statement may follow which. Each case breaks one rule.
func TestFollowRules(t *testing.T) {
	c := history(t) // newest: laptop alone
	for name, x := range map[string]struct {
		next *Statement
		text string // "": it may follow
	}{
		"add":                 {after(c.Newest(), func(s *Statement) { s.add("tablet") }).by("laptop"), ""},
		"swap":                {after(c.Newest(), func(s *Statement) { s.remove("laptop"); s.add("tablet") }).by("laptop"), ""},
		"revoke self":         {after(c.Newest(), func(s *Statement) { s.remove("laptop") }).by("laptop"), ""},
		"recover":             {after(c.Newest(), func(s *Statement) { s.remove("laptop"); s.add("new") }).by(""), ""},
		"recovery key":        {after(c.Newest(), func(s *Statement) { s.Recovery = recoveryKey("new") }).by(""), ""},
		"DIR-6 other account": {after(c.Newest(), func(s *Statement) { s.Account = "bob"; s.add("x") }).by("laptop"), `statement of "bob"`},
		"DIR-6 same version":  {after(c.Newest(), func(s *Statement) { s.Version--; s.add("x") }).by("laptop"), "version 3 after 3"},
		"DIR-6 skip":          {after(c.Newest(), func(s *Statement) { s.Version++; s.add("x") }).by("laptop"), "version 5 after 3"},
		"DIR-6 fork":          {after(c.Newest(), func(s *Statement) { s.Previous = c.Statement(2).Hash(); s.add("x") }).by("laptop"), "another version 3"},
		"DIR-5 by a revoked":  {after(c.Newest(), func(s *Statement) { s.add("x") }).by("phone"), "does not list"},
		"DIR-5 by the added":  {after(c.Newest(), func(s *Statement) { s.add("x") }).by("x"), "does not list"},
		"DIR-5 wrong key": {func() *Statement {
			s := after(c.Newest(), func(s *Statement) { s.add("x") })
			s.SignAs("laptop", DeviceSigner(keyOf("ann/phone")))
			return s
		}(), "wrong signature"},
		"DIR-5 not recovery": {func() *Statement {
			s := after(c.Newest(), func(s *Statement) { s.add("x") })
			s.SignRecovery(RecoverySigner(keyOf("ann/laptop")))
			return s
		}(), "wrong signature"},
		"DIR-5 new recovery key signs": {func() *Statement {
			s := after(c.Newest(), func(s *Statement) { s.Recovery = recoveryKey("new") })
			s.SignRecovery(RecoverySigner(keyOf("new")))
			return s
		}(), "wrong signature"},
		"DIR-5 changed after signing": {func() *Statement {
			s := after(c.Newest(), func(s *Statement) { s.add("x") }).by("laptop")
			s.Devices[1].Added++
			return s
		}(), "wrong signature"},
		"DIR-7 device changes recovery":  {after(c.Newest(), func(s *Statement) { s.Recovery = recoveryKey("new") }).by("laptop"), "changed the recovery key"},
		"DIR-8 device changes key":       {after(c.Newest(), func(s *Statement) { s.Devices[0].Key = deviceKey("x") }).by("laptop"), "another key or time"},
		"DIR-8 device changes time":      {after(c.Newest(), func(s *Statement) { s.Devices[0].Added++ }).by("laptop"), "another key or time"},
		"DIR-8 nothing changes":          {after(c.Newest(), func(*Statement) {}).by("laptop"), "changes nothing"},
		"DIR-9 earlier than the rest":    {after(c.Newest(), func(s *Statement) { s.add("x"); s.Devices[1].Added-- }).by("laptop"), "before an earlier one"},
		"DIR-10 revoked key returns":     {after(c.Newest(), func(s *Statement) { s.add("x"); s.Devices[1].Key = deviceKey("ann/phone") }).by("laptop"), "in use before"},
		"DIR-10 revoked name returns":    {after(c.Newest(), func(s *Statement) { s.add("phone"); s.Devices[1].Key = deviceKey("x") }).by("laptop"), "in use before"},
		"DIR-10 revoked key by recovery": {after(c.Newest(), func(s *Statement) { s.add("phone") }).by(""), "in use before"},
		"DIR-10 recovery from a device":  {after(c.Newest(), func(s *Statement) { s.Recovery = recoveryKey("ann/phone") }).by(""), "was in use"},
		"DIR-10 device from recovery": {after(c.Newest(), func(s *Statement) {
			s.Recovery = recoveryKey("new")
			s.add("x")
			s.Devices[1].Key = deviceKey("ann recovery")
		}).by(""), "in use before"},
		"DIR-17 no recovery key": {after(c.Newest(), func(s *Statement) { s.Recovery = RecoveryKey{} }).by(""), "recovery key is weak"},
		"DIR-17 key of order 1":  {after(c.Newest(), func(s *Statement) { s.add("x"); s.Devices[1].Key = DeviceKey{1} }).by("laptop"), "weak"},
		"DIR-17 key of order 4":  {after(c.Newest(), func(s *Statement) { s.add("x"); s.Devices[1].Key = DeviceKey{} }).by("laptop"), "weak"},
		"DIR-17 no point":        {after(c.Newest(), func(s *Statement) { s.add("x"); s.Devices[1].Key = DeviceKey{2} }).by("laptop"), "weak"},
		"DIR-10 name moves to a key in use": {after(c.Newest(), func(s *Statement) {
			s.remove("laptop")
			s.add("x")
			s.Devices[0].Key = deviceKey("ann/laptop")
		}).by("laptop"), "in use before"},
		"DIR-1 bad form": {after(c.Newest(), func(s *Statement) { s.add("x"); slices.Reverse(s.Devices) }).by("laptop"), "out of order"},
	} {
		longer, err := c.Follow(x.next)
		switch {
		case x.text == "" && (err != nil || longer.Newest() != x.next || longer.Version() != 4):
			t.Errorf("%s: %v", name, err)
		case x.text != "" && (longer != nil || err == nil || !strings.Contains(err.Error(), x.text)):
			t.Errorf("%s: %v; want %q", name, err, x.text)
		}
	}
	if c.Version() != 3 {
		t.Error("following changed the chain")
	}
}

func TestFirstRules(t *testing.T) {
	stolen := first("ann")
	stolen.SignAs("phone", DeviceSigner(keyOf("mallory")))
	for name, s := range map[string]*Statement{
		"DIR-5 not by its device": stolen,
		"DIR-4 a later version":   history(t).Statement(2),
		"DIR-1 bad form":          after(first("ann"), func(s *Statement) { s.Version = 1; s.add("x") }).by("phone"),
	} {
		if c, err := NewChain(s); c != nil || !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c, err := NewChain(); c != nil || !errors.Is(err, ErrInvalid) {
		t.Errorf("a chain of nothing: %v", err)
	}
	if _, err := NewChain(first("ann")); err != nil {
		t.Error(err)
	}
}

// No bit of a statement can change.
func TestStatementBits(t *testing.T) {
	c := history(t)
	b := after(c.Newest(), func(s *Statement) { s.add("tablet") }).by("laptop").Encode()
	for i := range 8 * len(b) {
		changed := bytes.Clone(b)
		changed[i/8] ^= 1 << (i % 8)
		if s, err := Parse(changed); err == nil {
			if _, err := c.Follow(s); err == nil {
				t.Fatalf("accepted with bit %d changed", i)
			}
		}
	}
}

// A thief of a device can revoke the others and add his own, but the person's
// recovery key undoes it, and the thief's key never comes back.
func TestRecoveryBeatsThief(t *testing.T) {
	c := history(t)
	theft := after(c.Newest(), func(s *Statement) { s.remove("laptop"); s.add("thief") }).by("laptop")
	c, err := c.Follow(theft)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = c.Follow(after(theft, func(s *Statement) { s.remove("thief"); s.add("new") }).by("")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Follow(after(c.Newest(), func(s *Statement) { s.add("x") }).by("thief")); err == nil {
		t.Error("the thief signs on")
	}
	if _, err := c.Follow(after(c.Newest(), func(s *Statement) { s.add("thief") }).by("new")); err == nil {
		t.Error("the thief's key came back")
	}
}

func FuzzParse(f *testing.F) {
	c := history(f)
	for v := uint64(1); v <= c.Version(); v++ {
		f.Add(c.Statement(v).Encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Parse(b)
		if (s == nil) == (err == nil) {
			t.Fatal("a value beside an error, or neither")
		}
		if err == nil && !bytes.Equal(s.Encode(), b) {
			t.Fatalf("%x encodes as %x", b, s.Encode())
		}
	})
}
