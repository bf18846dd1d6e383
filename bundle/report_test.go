package bundle

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"writ/warrant"
)

var update = flag.Bool("update", false, "write the golden files anew")

// sample is a report with everything in it: two people, text in two scripts, an
// attempt to imitate the report, bytes that are no text, a gap, a message set
// aside, one repeated, a compartment that was not opened.
func sample(t testing.TB) *Report {
	w := newWorld(t)
	c := w.converse(suite, "lunch", "alice", "bob")
	alice := c.say("alice", "Noon, the usual place?", "Don't be late.", "(unsent)",
		"Bring these:\n- the keys\n- <b>the \"papers\"</b> & coffee ☕", "\u202egnorw\u202c | Checks", "متى؟", "\xff\xfe\x00")
	alice.Messages = append(alice.Messages[:2:2], alice.Messages[3:]...)
	noise := c.receive([]byte("noise"))
	again := alice.Messages[0]
	again.Seq, again.Received = noise.Seq+1, noise.Received+1000
	w.seq++
	alice.Messages = append(alice.Messages, noise, again)
	w.state(&alice)
	bob := c.say("bob", "[9] 2026-11-02T12:00:00Z\n! not a line of the report", "")
	c.next()
	later := w.forge(c.say("alice", "hidden"))
	contents := w.open(edits{order: func(o *warrant.Warrant) {
		both(o)
		o.Necessity = "The messages name the place of the goods,\nand the time."
		o.Conversations = [][]byte{c.id}
	}}, alice, bob, later)
	return must(Verify(built(contents, w.policy), w.policy))
}

// volatile is what differs from run to run: keys and ciphertexts are random.
var volatile = regexp.MustCompile(`[0-9a-f]{64}|(?i)("signing_key": ")[0-9a-f]{32}`)
var fingerprint = regexp.MustCompile(`(igning key (<code>)?|"signing_key": ")[0-9a-f]{32}`)
var root = regexp.MustCompile(`(root |"root": ")[^\s<"]+`)
var size = regexp.MustCompile(`("size": |File: |bundle of )\d+`)

func stable(b []byte) []byte {
	b = fingerprint.ReplaceAll(b, []byte("${1}FINGERPRINT"))
	b = root.ReplaceAll(b, []byte("${1}ROOT"))
	b = size.ReplaceAll(b, []byte("${1}SIZE"))
	return volatile.ReplaceAll(b, []byte("RANDOM"))
}

func TestGoldenReports(t *testing.T) {
	r := sample(t)
	for name, got := range map[string][]byte{"report.txt": []byte(r.Text()), "report.json": r.JSON(), "report.html": r.HTML()} {
		path := filepath.Join("testdata", name)
		got = stable(got)
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from the golden file; -update writes it anew:\n%s", name, got)
		}
	}
}

// Text of people changes nothing around it, in each form.
func TestReportEscapes(t *testing.T) {
	r := sample(t)
	page, text := string(r.HTML()), r.Text()
	for _, bad := range []string{"<b>the", "\u202e", "<script", "http://", "https://", "src="} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	for _, want := range []string{"&lt;b&gt;the &#34;papers&#34;&lt;/b&gt; &amp; coffee ☕", "⟦U&#43;202E⟧gnorw"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	for line := range strings.Lines(text) {
		if strings.Contains(line, "not a line of the report") && !strings.HasPrefix(line, "  | ") || strings.Contains(line, "\u202e") {
			t.Errorf("line %q", line)
		}
	}
	if strings.Contains(string(r.JSON()), "\u202e") || !strings.Contains(string(r.JSON()), `\u202egnorw\u202c | Checks`) {
		t.Error("JSON holds a character that reorders text")
	}
	var back Report
	if err := json.Unmarshal(r.JSON(), &back); err != nil || *back.Compartments[0].Messages[3].Text != "\u202egnorw\u202c | Checks" {
		t.Errorf("JSON: %v", err)
	}
}
