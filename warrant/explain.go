package warrant

import (
	"fmt"
	"time"

	"writ/internal/wire"
)

// Explain returns the warrant in plain English sentences, for an approver to
// read before signing. Texts of the applicant are quoted, so that none can be
// taken for a sentence of this function. The warrant must have been parsed.
func (w *Warrant) Explain() []string {
	start, end := w.Window()
	lines := []string{
		fmt.Sprintf("This is warrant %x under charter %s.", w.ID, w.Charter),
		fmt.Sprintf("%q asks for it under reference %q (%q, case type %s) in jurisdiction %q.",
			w.LegalEntity, w.Reference, w.LegalType, w.CaseType, w.Jurisdiction),
		fmt.Sprintf("It %s what account %s sent%s.", verb(w.Action), w.Subject, received(w)),
		conversations(w),
		fmt.Sprintf("It reaches messages of epochs opened from %s until before %s (in UTC: %s to %s), which is %s.",
			w.WindowStart, w.WindowEnd, utc(uint64(start.Unix())), utc(uint64(end.Unix())), span(end.Sub(start))),
		fmt.Sprintf("It may be used from %s until before %s, which is %s.",
			utc(w.NotBefore), utc(w.NotAfter), span(time.Duration(min(w.NotAfter-w.NotBefore, 1<<32))*time.Second)),
		fmt.Sprintf("Why it is needed: %q", w.Necessity),
		fmt.Sprintf("Why less intrusive means fail: %q", w.LeastIntrusive),
		fmt.Sprintf("The subject is told by %s at the latest.", utc(w.NoticeDue)),
		fmt.Sprintf("Only the holder of the reader key with fingerprint %x can read what is opened.", fingerprint(w.ReaderKey)),
	}
	for _, x := range w.Readers {
		lines = append(lines, fmt.Sprintf("%s may read it, with the key of fingerprint %x and the mail key of fingerprint %x.",
			x.ID, fingerprint(x.Key[:]), fingerprint(x.Mail)))
	}
	if w.Renews != [32]byte{} {
		lines = append(lines, fmt.Sprintf("It RENEWS the warrant of the same account whose commitment is %x.", w.Renews))
	}
	if w.Flags&IsEmergency != 0 {
		lines = append(lines, "It is an EMERGENCY warrant: it lives shorter and is reviewed afterwards.")
	}
	if w.Flags&IsTest != 0 {
		lines = append(lines, "It is a TEST on synthetic accounts and is counted apart.")
	}
	if w.Flags&IsPrivileged != 0 {
		lines = append(lines, "It reaches PRIVILEGED conversations too, such as those with a lawyer or a doctor.")
	} else {
		lines = append(lines, "It reaches no conversation that is marked as privileged.")
	}
	return lines
}

func verb(a Action) string {
	if a == Preserve {
		return "only PRESERVES, and opens nothing of,"
	}
	return "opens"
}

func received(w *Warrant) string {
	if w.Direction == SentAndReceived {
		return ", and what every other member sent to a conversation while the account was in it"
	}
	return ", and nothing that others sent"
}

func conversations(w *Warrant) string {
	if len(w.Conversations) == 0 {
		return "It reaches ALL conversations of the account."
	}
	return fmt.Sprintf("It reaches %d named conversations: %x.", len(w.Conversations), w.Conversations)
}

// span writes a length of time in days, or in hours if it is short.
func span(d time.Duration) string {
	if d >= 48*time.Hour {
		return fmt.Sprintf("%.1f days", d.Hours()/24)
	}
	return fmt.Sprintf("%.1f hours", d.Hours())
}

// fingerprint is the first 16 bytes of a hash of a public key, to compare by
// eye.
func fingerprint(key []byte) []byte {
	h := wire.Hash("fingerprint", key)
	return h[:16]
}
