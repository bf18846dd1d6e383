package main

import (
	"strings"
	"testing"
	"time"

	"writ/charter/chartertest"
	"writ/docket"
	"writ/warrant"
	"writ/warrant/warranttest"
)

// An approver signs what follows from the warrant that it read, whatever the docket says
// that it would publish.
func TestApproverComputesThePublicForm(t *testing.T) {
	law := chartertest.New("approver")
	mail, err := warrant.NewMailKey()
	if err != nil {
		t.Fatal(err)
	}
	now := chartertest.Now
	w := &warrant.Warrant{ID: warrant.ID{1}, Charter: law.Charter.Hash(), Action: warrant.Disclose, Reference: "R-1", LegalType: "order",
		CaseType: "serious-crime", Jurisdiction: law.Charter.Jurisdiction, LegalEntity: "police", Subject: "ann", SubjectAgain: "ann",
		Direction: warrant.Sent, WindowStart: now.Format(time.RFC3339), WindowEnd: now.Add(time.Hour).Format(time.RFC3339),
		NotBefore: uint64(now.Unix()), NotAfter: uint64(now.Unix()) + 3600, Necessity: "needed", LeastIntrusive: "nothing less",
		ReaderKey: mail.Public(), Readers: warranttest.Readers(), NoticeDue: uint64(now.Unix()) + 7200}
	salt := [32]byte{7}
	content, good := warrant.Salted(w, salt), w.Public(salt, law.Charter)
	lodged := func(p warrant.Public) []byte {
		l := docket.Lodgement{Warrant: w.Hash(), Public: p}
		return l.Encode()
	}
	read, public, err := readSalted(content, w.Hash(), lodged(good))
	if err != nil || read.Hash() != w.Hash() || public.Hash() != good.Hash() {
		t.Fatalf("a good one: %v", err)
	}
	for what, change := range map[string]func(p *warrant.Public){
		"commitment":  func(p *warrant.Public) { p.Commitment[0] ^= 1 },
		"flags":       func(p *warrant.Public) { p.Flags = warrant.IsTest },
		"end of life": func(p *warrant.Public) { p.NotAfter++ },
		"readers":     func(p *warrant.Public) { p.Readers = append(p.Readers, [32]byte{255}) },
	} {
		bad := w.Public(salt, law.Charter)
		change(&bad)
		if _, _, err := readSalted(content, w.Hash(), lodged(bad)); err == nil || !strings.Contains(err.Error(), what+" differs") {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, b := range map[string][]byte{"no salt": content[:31], "no warrant": content[:40], "with more": append(content[:len(content):len(content)], 0)} {
		if _, _, err := readSalted(b, w.Hash(), lodged(good)); err == nil {
			t.Errorf("%s is read", what)
		}
	}
	if _, _, err := readSalted(content, warrant.Hash{1}, lodged(good)); err == nil {
		t.Error("another warrant than the one asked for is read")
	}
	if _, _, err := readSalted(content, w.Hash(), []byte("junk")); err == nil {
		t.Error("a lodgement of junk is read")
	}
}
