package warrant

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"writ/internal/wire"
)

func mailKey(t testing.TB) *MailKey {
	k, err := NewMailKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestEnvelope(t *testing.T) {
	a, b, c := mailKey(t), mailKey(t), mailKey(t)
	content := []byte("who it is about")
	env, err := Seal(content, []Recipient{{"judicial/a", a.Public()}, {"oversight/b", b.Public()}})
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(env, content) {
		t.Error("content is readable")
	}
	for id, k := range map[string]*MailKey{"judicial/a": a, "oversight/b": b} {
		stored, err := ParseMailKey(k.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Open(env, id, stored); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: %q, %v", id, got, err)
		}
	}
	for name, c := range map[string]struct {
		id string
		k  *MailKey
	}{"not addressed": {"judicial/c", c}, "other key": {"judicial/a", b}, "other id": {"oversight/b", a}} {
		if got, err := Open(env, c.id, c.k); err == nil || got != nil {
			t.Errorf("%s: opened", name)
		}
	}
}

// TestEnvelopeEveryByte: a changed byte anywhere that recipient a depends on,
// and any byte of the body, keeps it closed.
func TestEnvelopeEveryByte(t *testing.T) {
	a := mailKey(t)
	env, err := Seal([]byte("content"), []Recipient{{"judicial/a", a.Public()}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range env {
		bad := bytes.Clone(env)
		bad[i] ^= 0x10
		if got, err := Open(bad, "judicial/a", a); err == nil {
			t.Fatalf("byte %d changed and still opened: %q", i, got)
		}
	}
}

func TestSealRefuses(t *testing.T) {
	a := mailKey(t).Public()
	if env, err := Seal(make([]byte, MaxContent+1), []Recipient{{"a", a}}); err == nil || env != nil {
		t.Error("sealed too much")
	}
	for name, to := range map[string][]Recipient{
		"nobody":  nil,
		"twice":   {{"a", a}, {"a", a}},
		"bad key": {{"a", a[1:]}},
		"control": {{"a\x00", a}},
	} {
		if env, err := Seal(nil, to); err == nil || env != nil {
			t.Errorf("%s: sealed", name)
		}
	}
}

// TestOpenRefuses holds envelopes no Seal makes.
func TestOpenRefuses(t *testing.T) {
	a := mailKey(t)
	envelope := func(recipients ...string) []byte {
		var w wire.Writer
		w.Uint16(envelopeVersion)
		w.Vector(func(w *wire.Writer) {
			for _, r := range recipients {
				w.String(r)
				w.Opaque([]byte("short"))
			}
		})
		w.Opaque([]byte("body"))
		return w.Bytes()
	}
	var crowd []string
	for i := range maxRecipients + 1 {
		crowd = append(crowd, fmt.Sprint("a", i))
	}
	for name, c := range map[string]struct {
		envelope []byte
		want     error
	}{
		"one too many":    {envelope(crowd...), wire.ErrMalformed},
		"key cut":         {envelope("a"), ErrInvalid},
		"recipient twice": {envelope("a", "a"), wire.ErrMalformed},
		"not addressed":   {envelope("b"), ErrRefused},
		"trailing":        {append(envelope("a"), 0), wire.ErrMalformed},
		"version":         {append([]byte{0, 2}, envelope("a")[2:]...), ErrUnsupported},
	} {
		if got, err := Open(c.envelope, "a", a); got != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: got %q, %v; want %v", name, got, err, c.want)
		}
	}
}

// FuzzOpen edits the envelope of its own process: only the untouched one opens.
func FuzzOpen(f *testing.F) {
	k := mailKey(f)
	env, err := Seal([]byte("content"), []Recipient{{"a", k.Public()}, {"b", mailKey(f).Public()}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint16(0), uint16(0), []byte{})
	f.Add(uint16(7), uint16(1), []byte("b"))
	f.Fuzz(func(t *testing.T, at, cut uint16, put []byte) {
		from := min(int(at), len(env))
		b := slices.Concat(env[:from], put, env[min(from+int(cut), len(env)):])
		if _, err := Open(b, "a", k); (err == nil) != bytes.Equal(b, env) {
			t.Fatalf("edited at %d: %v", at, err)
		}
	})
}

// Erasing what was stored leaves the key whole.
func TestMailKeyBytesAreACopy(t *testing.T) {
	k, err := NewMailKey()
	if err != nil {
		t.Fatal(err)
	}
	kept := bytes.Clone(k.Bytes())
	clear(k.Bytes())
	if !bytes.Equal(k.Bytes(), kept) {
		t.Error("the key was erased with its copy")
	}
}
