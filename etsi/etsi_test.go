package etsi

import (
	"bytes"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"writ/bundle"
	"writ/charter/chartertest"
	"writ/internal/wire"
	"writ/ledger"
	"writ/warrant"
	"writ/warrant/warranttest"
)

var update = flag.Bool("update", false, "write golden files")

var head = Header{Sender: Party{"XX", "police"}, Receiver: Party{"XX", "docket"},
	Transaction: "c02358b2-76cf-4ba4-a8eb-f6436ccaea2e", Time: time.Unix(1793700000, 123456000)}

// order is the warrant of package warrant's golden draft, with two approvals.
func order(t testing.TB) *Order {
	t.Helper()
	draft, err := os.ReadFile("../warrant/testdata/draft.json")
	if err != nil {
		t.Fatal(err)
	}
	w, err := warrant.ParseDraft(draft)
	if err != nil {
		t.Fatal(err)
	}
	return &Order{Header: head, Warrant: w, Document: true, Salt: [32]byte{6}, Approvals: []warrant.Approval{
		{Office: "judicial", Approver: "judge-1", Kind: warrant.Ed25519, Signature: bytes.Repeat([]byte{7}, 64)},
		{Office: "oversight", Approver: "commissioner-1", Kind: warrant.WebAuthn, Signature: bytes.Repeat([]byte{8}, 100)}}}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s differs from the golden file; -update writes it anew: %v\n%s", name, err, got)
	}
}

func TestOrderRoundTrip(t *testing.T) {
	o := order(t)
	golden(t, "order.json", o.Export())
	for _, change := range []func(o *Order){
		func(*Order) {},
		func(o *Order) { o.Document = false },
		func(o *Order) { o.Approvals = nil },
		func(o *Order) { o.Warrant.Flags, o.Warrant.Direction = 0, warrant.Sent },
		func(o *Order) { o.Warrant.Conversations = nil },
		func(o *Order) { o.Warrant.Action = warrant.Preserve },
		func(o *Order) {
			o.Warrant.Flags = warrant.IsTest | warrant.IsEmergency
			o.Warrant.Subject, o.Warrant.SubjectAgain = "test.a", "test.a"
		},
	} {
		o := order(t)
		change(o)
		got, err := Import(o.Export())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Warrant.Encode(), o.Warrant.Encode()) {
			t.Error("another warrant came back")
		}
		if !bytes.Equal(warrant.EncodeApprovals(got.Approvals), warrant.EncodeApprovals(o.Approvals)) ||
			len(o.Approvals) > 0 && got.Salt != o.Salt {
			t.Error("other approvals, or another salt, came back")
		}
		if got.Document != o.Document || got.Header.Sender != head.Sender || !got.Header.Time.Equal(head.Time) {
			t.Errorf("header %+v", got.Header)
		}
	}
}

// TestOrderProvesItsApprovals: whoever gets an order and knows the charter verifies its
// approvals, and no receiver takes them for those of another salt.
func TestOrderProvesItsApprovals(t *testing.T) {
	w := chartertest.New("etsi")
	o := order(t)
	o.Warrant.Charter, o.Warrant.Flags = w.Charter.Hash(), 0
	p := o.Warrant.Public(o.Salt, w.Charter)
	o.Approvals = warranttest.Approvals(w, p)
	b := o.Export()
	got, err := Import(b)
	if err != nil {
		t.Fatal(err)
	}
	p = got.Warrant.Public(got.Salt, w.Charter)
	if err := p.CheckApprovals(got.Approvals, w.Charter); err != nil {
		t.Error(err)
	}
	salt, other := base64.StdEncoding.EncodeToString(o.Salt[:]), base64.StdEncoding.EncodeToString(make([]byte, 32))
	if _, err := Import(bytes.Replace(b, []byte(salt), []byte(other), 1)); err == nil {
		t.Error("two salts in one order")
	}
	changed, err := Import(bytes.ReplaceAll(b, []byte(salt), []byte(other)))
	if err != nil {
		t.Fatal(err)
	}
	p = changed.Warrant.Public(changed.Salt, w.Charter)
	if err := p.CheckApprovals(changed.Approvals, w.Charter); err == nil {
		t.Error("approved with another salt")
	}
}

// What only keeps is another kind of task, and says so twice.
func TestPreserveIsAnLPTask(t *testing.T) {
	o := order(t)
	o.Warrant.Action = warrant.Preserve
	b := o.Export()
	if !bytes.Contains(b, []byte("Task}LPTaskObject")) || bytes.Contains(b, []byte("LDTaskObject")) {
		t.Error("not an LPTaskObject")
	}
	bad := bytes.Replace(b, []byte("LPTaskObject"), []byte("LDTaskObject"), 1)
	if _, err := Import(bad); err == nil {
		t.Error("accepted as a disclosure")
	}
}

func TestAnyTextComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draft, _ := os.ReadFile("../warrant/testdata/draft.json")
		w, _ := warrant.ParseDraft(draft)
		w.Reference = rapid.StringN(1, 60, 200).Draw(t, "reference")
		w.Necessity = rapid.StringN(1, 60, 200).Draw(t, "necessity")
		if _, err := warrant.Parse(w.Encode()); err != nil {
			t.Skip()
		}
		got, err := Import((&Order{Header: head, Warrant: w, Document: true}).Export())
		if err != nil || got.Warrant.Hash() != w.Hash() {
			t.Fatal(err)
		}
	})
}

// paths lists all places in a tree, lists' items by their number.
func paths(v any, path ...string) (list [][]string) {
	switch v := v.(type) {
	case object:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			list = append(list, paths(v[key], append(slices.Clone(path), key)...)...)
		}
	case []any:
		for i := range v {
			list = append(list, paths(v[i], append(slices.Clone(path), fmt.Sprintf("[%d]", i))...)...)
		}
	}
	return append(list, path)
}

// edited returns the message with one place changed.
func edited(t *testing.T, b []byte, path []string, edit func(in object, key string)) []byte {
	t.Helper()
	tree, err := parse(b)
	if err != nil {
		t.Fatal(err)
	}
	in, ok := (&reader{root: tree}).at(path[:len(path)-1]...).(object)
	if !ok {
		return nil // an item of a list
	}
	edit(in, path[len(path)-1])
	return bundle.EncodeJSON(tree)
}

// Every place of a message counts: what is taken out, put in or changed rejects
// the whole, and the error says where.
func TestImportIsStrict(t *testing.T) {
	good := order(t).Export()
	tree, _ := parse(good)
	free := []string{"TransactionIdentifier", "Timestamp", "ReceiverIdentifier", "AuthorisationApprovalDetails"}
	for _, path := range paths(tree) {
		if len(path) == 0 {
			continue
		}
		edits := map[string]func(object, string){
			"taken out": func(in object, key string) { delete(in, key) },
			"put in":    func(in object, key string) { in[key+"x"] = in[key] },
			"null":      func(in object, key string) { in[key] = nil },
			"in a list": func(in object, key string) { in[key] = []any{in[key]} },
			"changed": func(in object, key string) {
				if s, ok := in[key].(string); ok {
					in[key] = s + "0"
				} else {
					in[key] = "0"
				}
			},
		}
		for name, edit := range edits {
			bad := edited(t, good, path, edit)
			if bad == nil || name == "taken out" && path[len(path)-1] == "auth:AuthorisationApprovalDetails" ||
				name == "changed" && slices.ContainsFunc(free, func(s string) bool { return strings.Contains(strings.Join(path, " "), s) }) {
				continue
			}
			_, err := Import(bad)
			if err == nil {
				t.Errorf("%s %s: accepted", path, name)
			} else if !errors.Is(err, wire.ErrMalformed) && !errors.Is(err, ErrUnsupported) && !errors.Is(err, warrant.ErrUnsupported) {
				t.Errorf("%s %s: %v", path, name, err)
			}
		}
	}
}

func TestErrorsNameTheMember(t *testing.T) {
	good := string(order(t).Export())
	for _, c := range []struct{ old, new, want string }{
		{`"auth:EndTime": "2026-11-05T10:00:00Z"`, `"auth:EndTime": "2026-11-05T10:00:00"`, "not_after"},
		{`"task:EndTime": "2026-11-02T00:00:00+01:00"`, `"task:EndTime": "2026-11-02T00:00:00-00:00"`, "window_end: ambiguous"},
		{`"auth:AuthorisationReference"`, `"auth:AuthorisationReferense"`, "auth:AuthorisationReference: missing"},
		{`"auth:AuthorisationLegalEntity"`, `"auth:Extra": 1, "auth:AuthorisationLegalEntity"`, "auth:Extra: unknown here"},
		{`"auth:AuthorisationLegalEntity"`, `"auth:AuthorisationLegalEntity": "x", "auth:AuthorisationLegalEntity"`, "given twice"},
		{`"writ:subject_again": "alice"`, `"writ:subject_again": "alise"`, "subject_again: differs"},
		{`"task:FormatName": "Account"`, `"task:FormatName": "IMSI"`, "task:FormatName"},
		{`"CountryCode": "XX"`, `"CountryCode": "xx"`, "Header ReceiverIdentifier CountryCode"},
		{`LDTaskObject`, `LITaskObject`, "@xsi:type"},
		{`"IsEmergency"`, `"IsSomething"`, "auth:AuthorisationFlags: unknown here"},
		{`"writ:notice_due"`, `"writ:notice_duе"`, "notice_due: missing"},
		{`"writ:necessity"`, `"writ:reference": "y", "writ:necessity"`, "writ:reference: unknown here"},
	} {
		bad := strings.Replace(good, c.old, c.new, 1)
		if bad == good {
			t.Fatalf("%s is not in the message", c.old)
		}
		if _, err := Import([]byte(bad)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.want, err)
		}
	}
	for _, bad := range []string{"", "[]", "{}{}", `{"Header":{}}`, strings.Repeat(`{"a":`, 40), "\xff", good + "x"} {
		if _, err := Import([]byte(bad)); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
	deep := strings.Replace(good, `"writ:id"`, `"writ:deep": `+strings.Repeat("[", 30)+strings.Repeat("]", 30)+`, "writ:id"`, 1)
	if _, err := Import([]byte(deep)); err == nil || !strings.Contains(err.Error(), "nested deeper") {
		t.Errorf("nested: %v", err)
	}
	// What encoding/json would mend in silence.
	if _, err := Import([]byte(strings.Replace(good, "A child", "A \xffchild", 1))); err == nil || !strings.Contains(err.Error(), "UTF-8") {
		t.Errorf("not UTF-8: %v", err)
	}
	// An instant may be written in another zone; it is the same order.
	other := strings.Replace(good, `"auth:EndTime": "2026-11-05T10:00:00Z"`, `"auth:EndTime": "2026-11-05T11:00:00+01:00"`, 1)
	if got, err := Import([]byte(other)); other == good || err != nil || got.Warrant.Hash() != order(t).Warrant.Hash() {
		t.Errorf("another zone: %v", err)
	}
}

// notices are entries of two kinds.
func notices() *Notices {
	refusal := &ledger.Refusal{Request: ledger.EntryHash{1}, Office: "judicial", Custodian: "court-1", Reason: 3}
	release := &ledger.Release{RequestIndex: 4, Request: ledger.EntryHash{1}, Office: "judicial", Custodian: "court-1", Count: 1, Root: [32]byte{2}}
	return &Notices{Header: head, Warrant: warrant.ID{1, 2, 3}, Logged: []Logged{
		{5, refusal.Entry(), head.Time}, {6, release.Entry(), head.Time}}}
}

func TestNoticesRoundTrip(t *testing.T) {
	n := notices()
	b, err := n.Export()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "notices.json", b)
	got, err := ImportNotices(b, n.Warrant)
	if err != nil || len(got.Logged) != 2 || got.Logged[1].Index != 6 || !bytes.Equal(got.Logged[0].Entry, n.Logged[0].Entry) {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := ImportNotices(b, warrant.ID{9}); err == nil {
		t.Error("accepted as notices about another order")
	}
	tree, _ := parse(b)
	for _, path := range paths(tree) {
		if len(path) == 0 {
			continue
		}
		bad := edited(t, b, path, func(in object, key string) { delete(in, key) })
		if bad == nil {
			continue
		}
		if _, err := ImportNotices(bad, n.Warrant); err == nil {
			t.Errorf("%s taken out: accepted", path)
		}
	}
	n.Logged[0].Entry = []byte("no entry")
	if _, err := n.Export(); err == nil {
		t.Error("exported what is no entry")
	}
}

// The manifest goes to other systems: no word and no name in it.
func TestManifestIsNoSecret(t *testing.T) {
	text := "Noon"
	r := &bundle.Report{SHA256: strings.Repeat("ab", 32), Size: 7, Complete: true,
		Warrant:      bundle.WarrantFacts{ID: strings.Repeat("01", 16), Hash: "cd", Reference: "Ref. 17/2026", Subject: "alice", Necessity: "goods"},
		Compartments: []bundle.CompartmentReport{{Account: "alice", Device: "phone", Messages: []bundle.MessageReport{{Text: &text}}, Count: 1}}}
	got := Manifest(r)
	golden(t, "manifest.json", got)
	for _, secret := range []string{"alice", "phone", "Noon", "goods"} {
		if strings.Contains(string(got), secret) {
			t.Errorf("it has %q", secret)
		}
	}
}

// A manifest says of each compartment of which the report misses something that it does.
func TestManifestSaysWhatIsMissing(t *testing.T) {
	text := "Noon"
	one := []bundle.MessageReport{{Text: &text}}
	for what, c := range map[string]bundle.CompartmentReport{
		"whole":     {Messages: one, Count: 1},
		"a gap":     {Messages: one, Count: 1, Gaps: []bundle.Gap{{From: 1, To: 1}}},
		"set aside": {Messages: []bundle.MessageReport{{Aside: "it does not open"}}, Count: 1},
		"a count":   {Messages: one, Count: 2},
		"forged":    {Unopened: true},
	} {
		got := Manifest(&bundle.Report{Warrant: bundle.WarrantFacts{ID: strings.Repeat("01", 16)}, Compartments: []bundle.CompartmentReport{c}})
		if says := strings.Contains(string(got), `"writ:Missing": true`); says != (what != "whole") {
			t.Errorf("%s: says %v", what, says)
		}
	}
}

// The specification has the table that the code has.
func TestSpecificationHasTheTable(t *testing.T) {
	spec, err := os.ReadFile("../spec/etsi.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for line := range strings.Lines(string(spec)) {
		if cells := strings.Split(line, "|"); len(cells) > 3 {
			rows[strings.Trim(cells[1], " `")] = cells[2]
		}
	}
	draft := order(t).draft()
	for _, c := range Counterparts() {
		last := c.Path[len(c.Path)-1]
		if !strings.Contains(rows[c.Member], last) {
			t.Errorf("%s: the row says %q and not %s", c.Member, rows[c.Member], last)
		}
		delete(draft, c.Member)
	}
	for member := range draft {
		if !strings.Contains(rows[member], "writ:"+member) {
			t.Errorf("%s: no row says writ:%s", member, member)
		}
	}
}

func FuzzImport(f *testing.F) {
	f.Add(order(f).Export())
	f.Add([]byte(`{"Header":{"SenderIdentifier":{}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := Import(b)
		if err != nil {
			return
		}
		again, err := Import(o.Export())
		if err != nil || again.Warrant.Hash() != o.Warrant.Hash() {
			t.Fatalf("what was imported does not come back: %v", err)
		}
	})
}

func FuzzImportNotices(f *testing.F) {
	b, _ := notices().Export()
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := ImportNotices(b, warrant.ID{1, 2, 3})
		if err != nil {
			return
		}
		if _, err := n.Export(); err != nil {
			t.Fatal(err)
		}
	})
}
