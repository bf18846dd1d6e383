package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"writ/capsule"
	"writ/charter"
	"writ/examine"
	"writ/ledger"
	"writ/mls"
	"writ/setup"
	"writ/warrant"
)

// law is the charter of the world.
func (s *story) law() *charter.Charter {
	c, err := charter.Parse(s.world.Signed.Charter)
	if err != nil {
		panic("the world's charter was validated when it was made: " + err.Error())
	}
	return c
}

// order drafts and lodges a warrant for what an account said in the conversation's
// middle epoch.
func (s *story) order(cmd *cobra.Command, name, subject string) (*examine.Case, error) {
	w := &warrant.Warrant{Action: warrant.Disclose,
		Charter: s.world.Signed.Hash(), Reference: "DEMO/" + name, LegalType: "interception warrant", CaseType: "serious-crime",
		Jurisdiction: s.law().Jurisdiction, LegalEntity: "the agency", Subject: subject, SubjectAgain: subject,
		Direction: warrant.Sent, Conversations: [][]byte{s.talk.conversation[:]},
		WindowStart: s.talk.from.UTC().Format(time.RFC3339), WindowEnd: s.talk.until.UTC().Format(time.RFC3339),
		NotBefore: uint64(time.Now().Unix()), NotAfter: uint64(time.Now().Add(24 * time.Hour).Unix()),
		Necessity:      "Payments are split to stay below the reporting threshold; who ordered it is not known.",
		LeastIntrusive: "The bank's records show the payments but not who gave the instructions.",
		ReaderKey:      s.agency.reader.Public(), NoticeDue: uint64(time.Now().Add(s.noticeAfter).Unix()),
	}
	rand.Read(w.ID[:])
	var err error
	if w.Readers, err = s.agency.readers(nil); err != nil {
		return nil, err
	}
	c, err := s.agency.lodge(cmd, name, w)
	if err != nil {
		return nil, err
	}
	s.cases[name] = c
	return c, nil
}

// approve has an approver read a warrant and sign it.
func (s *story) approve(cmd *cobra.Command, c *examine.Case, approver string) error {
	h := c.Warrant.Hash()
	deployment, key := filepath.Join(s.world.Dir, setup.DeploymentFile), filepath.Join(s.world.Dir, "keys", approver+".key")
	o, err := approverFlags{&deployment, &key}.read(cmd, fmt.Sprintf("%x", h))
	if err != nil {
		return err
	}
	_, err = o.sign(cmd.Context())
	return err
}

func (s *story) draftWarrant(cmd *cobra.Command) error {
	t := &s.talk
	s.title("An agency drafts a warrant; two offices must agree")
	c, err := s.order(cmd, "first", t.subject)
	if err != nil {
		return err
	}
	s.say(`It names one account (%s), one conversation, and a window of %s in which
the middle epoch was opened. It is sealed to the approvers: the docket that
collects their signatures can't read it.`, t.subject, t.until.Sub(t.from))
	if err := s.approve(cmd, c, "judge-1"); err != nil {
		return err
	}
	_, err = s.agency.agency.Publish(cmd.Context(), c.Warrant.Hash())
	s.must(err != nil, "with the court's signature alone it is not published: %s", short(err))
	if err := s.approve(cmd, c, "commissioner-1"); err != nil {
		return err
	}
	s.say("The oversight commission reads it and signs too.")
	stored, err := readAll(filepath.Join(s.world.Dir, "docket"), "docket.db*")
	if err != nil {
		return err
	}
	s.must(!bytes.Contains(stored, []byte("Payments are split")), "the docket's own files show no grounds of it")
	return nil
}

// readAll returns the bytes of files that match, one after the other.
func readAll(dir, pattern string) (all []byte, err error) {
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	for _, name := range names {
		b, readErr := readFile(name)
		all, err = append(all, b...), errors.Join(err, readErr)
	}
	return all, err
}

func (s *story) publishWarrant(cmd *cobra.Command) error {
	s.title("The warrant is published, and everybody can see that there is one")
	c := s.cases["first"]
	e, err := s.agency.agency.Publish(cmd.Context(), c.Warrant.Hash())
	if err != nil {
		return callError(err)
	}
	entry, err := ledger.ParseEntry(e.Entry)
	if err != nil || entry.Warrant == nil {
		return errors.Join(errors.New("the docket published something else"), err)
	}
	w := entry.Warrant
	s.say(`Entry %d of the ledger, cosigned by a majority of its witnesses, says: a warrant of
case type %q, approved by %s, window %d s, to be used until %s.
Its subject is a salted commitment: %x...`, e.Index, w.CaseType, strings.Join(w.Offices, " and "), w.Window,
		time.Unix(int64(w.NotAfter), 0).UTC().Format("2 Jan 15:04 UTC"), w.Commitment[:8])
	s.must(!bytes.Contains(e.Entry, []byte(c.Warrant.Subject)), "the entry does not show who is meant")
	return nil
}

// lackOneOffice stops one whole office and tries to open with the two others.
func (s *story) lackOneOffice(cmd *cobra.Command) error {
	s.title("A quorum that lacks one office opens nothing")
	s.processes.stop("publication-1", "publication-2")
	s.say("Both custodians of the publishers are switched off. All five others are willing.")
	began := time.Now()
	_, err := s.agency.open(cmd, s.cases["first"])
	var blocked *examine.BlockedError
	if !errors.As(err, &blocked) {
		s.must(false, "opening fails for lack of shares: %v", err)
		return nil
	}
	s.must(len(blocked.Released) == 5, "%d custodians released their shares, and the compartment stays closed (%.1f s)",
		len(blocked.Released), time.Since(began).Seconds())
	return nil
}

// openCompartment opens with one custodian of each office away.
func (s *story) openCompartment(cmd *cobra.Command) error {
	s.title("The warrant opens exactly what it names")
	s.processes.stop("judicial-3", "oversight-1")
	if err := s.processes.start(cmd.Context(), filepath.Join("custodian", "publication-2")); err != nil {
		return err
	}
	began := time.Now()
	o, err := s.agency.open(cmd, s.cases["first"])
	if err != nil {
		return err
	}
	took := time.Since(began)
	s.sealed = filepath.Join(s.world.Dir, "sealed.writ")
	list, err := s.agency.writeBundles(cmd.Context(), s.cases["first"], o, s.sealed)
	if err != nil {
		return err
	}
	s.opened = list[0].opened.RequestEntry.Index
	report := list[0].report
	s.say("One custodian of each office is away; the four others suffice. It takes %.1f s:", took.Seconds())
	s.say("request logged, each intent logged before its share, shares combined, capsule\nre-sealed and compared, signatures of messages verified.")
	var texts []string
	for _, c := range report.Compartments {
		for _, m := range c.Messages {
			if m.Text != nil {
				texts = append(texts, *m.Text)
				s.say("     %s: %s", c.Account, *m.Text)
			}
		}
	}
	s.must(equal(texts, s.talk.wanted), "these are all %d messages %s sent there in that epoch, and nothing else", len(s.talk.wanted), s.talk.subject)
	s.fact("open_seconds", took.Seconds())
	return s.openOthers(list[0].opened)
}

func equal(a, b []string) bool { return strings.Join(a, "\x00") == strings.Join(b, "\x00") }

// openOthers tries the secrets that were released on every stolen message.
func (s *story) openOthers(o *examine.Opened) error {
	opened, tried := 0, 0
	for _, c := range o.Compartments {
		parsed, err := capsule.Parse(c.Capsule)
		if err != nil {
			return err
		}
		l := parsed.Label()
		group, err := mls.ParseGroupContext(c.GroupContext)
		if err != nil {
			return err
		}
		leaf, err := mls.VerifyLeafProof(group.Suite, group.TreeHash, mls.LeafIndex(l.Leaf), c.LeafProof)
		if err != nil {
			return err
		}
		opener, err := mls.NewSenderOpener(group.Suite, c.Ratchet, c.SenderData, mls.LeafIndex(l.Leaf), c.GroupContext, leaf.SignatureKey)
		if err != nil {
			return err
		}
		defer opener.Erase()
		for _, m := range s.talk.stolen {
			if bytes.Equal(m.Conversation, l.Conversation) && m.Epoch == l.Epoch && m.Sender == l.Leaf {
				continue
			}
			tried++
			if _, err := opener.Open(m.Body); err == nil {
				opened++
			}
		}
	}
	s.must(opened == 0 && tried > 0, "tried on all %d other ciphertexts of the stolen database, the released secrets open %d", tried, opened)
	return nil
}
