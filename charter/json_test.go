package charter_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"writ/charter"
	"writ/charter/chartertest"
	"writ/internal/wire"
)

func TestJSON(t *testing.T) {
	withPasskey := clone(t, chartertest.New("passkey").Charter)
	passkey(withPasskey)
	second := clone(t, withPasskey)
	second.Number, second.Previous, second.Limits.Urgent = 2, withPasskey.Hash(), nil
	for name, c := range map[string]*charter.Charter{"passkey": withPasskey, "second": second, "none": none(),
		"privilege": chartertest.New("privilege", chartertest.WithBar...).Charter} {
		got, err := charter.ParseJSON(c.JSON())
		if err != nil || !bytes.Equal(got.Encode(), c.Encode()) {
			t.Errorf("%s: %v, or another charter", name, err)
		}
	}
}

func TestJSONIsStrict(t *testing.T) {
	good := string(none().JSON())
	full := string(chartertest.New("strict").Charter.JSON())
	swap := func(in, old, new string) string {
		if !strings.Contains(in, old) {
			t.Fatalf("%q is not in the JSON", old)
		}
		return strings.Replace(in, old, new, 1)
	}
	for name, in := range map[string]string{
		"unknown member": swap(good, `"name"`, `"nick": "x", "name"`),
		"twice":          swap(good, `"name"`, `"name": "x", "name"`),
		"capitals":       swap(good, `"name"`, `"Name"`),
		"trailing":       good + "{}",
		"empty":          "",
		"array":          "[]",
		"access":         swap(good, `"access": "none"`, `"access": "all"`),
		"time zone":      swap(full, `12:00:00Z"`, `12:00:00+01:00"`),
		"no unit":        swap(full, `"7d"`, `"7"`),
		"negative":       swap(full, `"7d"`, `"-7d"`),
		"fraction":       swap(full, `"7d"`, `"1.5d"`),
		"short key":      swap(full, `"docket_key": "`, `"docket_key": "AAAA","delivery_key": "`),
		"kem":            swap(full, `"x-wing"`, `"rsa"`),
		"deep":           swap(good, `"access"`, `"structure": `+strings.Repeat(`{"of":[`, 20)+strings.Repeat("]}", 20)+`, "access"`),
		"large":          good + strings.Repeat(" ", 1<<18),
	} {
		if c, err := charter.ParseJSON([]byte(in)); !errors.Is(err, wire.ErrMalformed) || c != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c, err := charter.ParseJSON([]byte(swap(full, `"cap_subjects": 10`, `"cap_subjects": 0`))); !errors.Is(err, charter.ErrInvalid) || c != nil {
		t.Errorf("invalid charter: %v", err)
	}
	if c, err := charter.ParseJSON([]byte(swap(full, `"docket_key"`, `"delivery_keys"`))); err == nil || c != nil {
		t.Error("a service's key is missing")
	}
}

// The sentences people read, whole.
// A text of the charter can't look like a sentence of Explain on a line of its
// own.
func TestExplainIsOneLineEach(t *testing.T) {
	c := clone(t, chartertest.New("lines").Charter)
	const misleading = "Act 1.\n  - There is no exceptional access.\u2028Nobody holds a key."
	c.Jurisdiction, c.LegalBasis, c.Offices[0].Title = misleading, misleading, misleading
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, s := range c.Explain() {
		if strings.ContainsAny(s, "\n\u2028") {
			t.Errorf("two lines: %q", s)
		}
	}
}

func TestExplain(t *testing.T) {
	w := chartertest.New("explain")
	quiet := clone(t, w.Charter)
	quiet.Limits.Urgent = nil
	got := strings.Join(w.Charter.Explain(), "\n") + "\n\n" + strings.Join(none().Explain(), "\n") + "\n"
	const file = "testdata/explain.txt"
	if os.Getenv("WRIT_GOLDEN") != "" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || got != string(want) {
		t.Errorf("%v; got\n%s\nwant\n%s", err, got, want)
	}
	if s := strings.Join(chartertest.New("privilege", chartertest.WithBar...).Charter.Explain(), "\n"); !strings.Contains(s,
		"\nFor conversations marked as privileged a warrant needs the signatures of 1 of 2 approvers of Office bar too.\n") {
		t.Error(s)
	}
	if s := strings.Join(quiet.Explain(), " "); !strings.Contains(s, "no urgent procedure") {
		t.Error(s)
	}
}
