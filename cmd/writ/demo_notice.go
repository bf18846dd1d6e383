package main

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"writ/client"
)

// patienceForNotice is how long after its round a notice may take in the demo.
const patienceForNotice = 30 * time.Second

// tellPerson waits for the round that was fixed before anything was opened. Nobody
// who runs anything does anything: docket, custodians and one of three witnesses are
// switched off.
func (s *story) tellPerson(cmd *cobra.Command) error {
	s.title("The person is told, and nobody has to do anything for it")
	var idle []string
	for who := range s.world.Deployment.Custodians {
		idle = append(idle, filepath.Base(who))
	}
	s.processes.stop(append(idle, "docket", "bar")...)
	due := time.Unix(int64(s.cases["first"].Warrant.NoticeDue), 0)
	s.say("When the warrant was drafted, the time of the notice was fixed: %s.\n"+
		"Every custodian checked that before it released anything. Docket, custodians and one\n"+
		"of three witnesses are switched off now; two witnesses' clocks go on.", due.UTC().Format("15:04:05 UTC"))
	h := s.devices[s.talk.subject]
	early, err := s.cardOf(cmd, h)
	if err != nil {
		return err
	}
	s.must(early == nil || !time.Now().Before(due), "before that time the device shows nothing")
	card, err := s.awaitCard(cmd, h, due)
	if err != nil {
		return err
	}
	if card == nil {
		s.must(false, "%s's device shows the card within %v of its time", s.talk.subject, patienceForNotice)
		return nil
	}
	late := time.Since(due)
	for _, line := range card.Lines() {
		s.say("  | %s", line)
	}
	s.must(len(card.Opened) == 1 && card.Opened[0].Account == s.talk.subject, "%s's device shows this card by itself, %.1f s after its time, %v after the warrant",
		s.talk.subject, late.Seconds(), s.noticeAfter)
	s.fact("notice_after_seconds", s.noticeAfter.Seconds())
	s.fact("notice_late_seconds", late.Seconds())
	return nil
}

// awaitCard looks again and again, as a client that is open does.
func (s *story) awaitCard(cmd *cobra.Command, h *home, due time.Time) (*client.Card, error) {
	bar := newProgress("seconds until the round:")
	defer bar.end()
	for deadline := later(due, time.Now()).Add(patienceForNotice); time.Now().Before(deadline); {
		if left := time.Until(due); left > 0 {
			bar.at(int(left.Seconds()), int(s.noticeAfter.Seconds()))
		}
		card, err := s.cardOf(cmd, h)
		if card != nil || err != nil {
			return card, err
		}
		select {
		case <-cmd.Context().Done():
			return nil, cmd.Context().Err()
		case <-time.After(300 * time.Millisecond):
		}
	}
	return nil, nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// cardOf returns the card of the request that was opened, nil if the device has
// none yet.
func (s *story) cardOf(cmd *cobra.Command, h *home) (*client.Card, error) {
	if err := h.laws.copy.Refresh(cmd.Context()); err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	if _, err := h.checkNotices(cmd.Context()); err != nil {
		return nil, err
	}
	cards, err := h.device.Cards()
	for i := range cards {
		if cards[i].RequestEntry == s.opened {
			return &cards[i], err
		}
	}
	return nil, err
}
