package warrant

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"writ/internal/wire"
)

// check is every rule of form that binary form and draft share. The error
// names the first field that breaks one.
func (w *Warrant) check() error {
	for _, rule := range []func() error{
		w.checkNames, w.checkTexts, w.checkScope, w.checkTimes, w.checkReaders,
	} {
		if err := rule(); err != nil {
			return err
		}
	}
	return nil
}

func (w *Warrant) checkNames() error {
	switch {
	case w.ID == ID{}:
		return fieldError("id", "is zero")
	case !wire.ValidName(w.CaseType):
		return fieldError("case_type", "%q is not a name", w.CaseType)
	case !wire.ValidName(w.Subject):
		return fieldError("subject", "%q is not a name", w.Subject)
	case w.Subject != w.SubjectAgain:
		return fieldError("subject_again", "differs from subject")
	case w.Flags&IsTest != 0 && !Synthetic(w.Subject):
		return fieldError("subject", "a test warrant is for a synthetic account, named test.*")
	}
	return nil
}

// checkTexts holds R21: grounds are stated, and so is what a notice must say.
func (w *Warrant) checkTexts() error {
	for _, f := range []struct {
		name, text string
		max        int
	}{
		{"reference", w.Reference, maxText},
		{"legal_type", w.LegalType, maxText},
		{"jurisdiction", w.Jurisdiction, maxText},
		{"legal_entity", w.LegalEntity, maxText},
		{"necessity", w.Necessity, maxGrounds},
		{"least_intrusive", w.LeastIntrusive, maxGrounds},
	} {
		var enc wire.Writer
		enc.String(f.text)
		r := wire.NewReader(enc.Bytes())
		if r.String(f.max); r.Err() != nil {
			return fieldError(f.name, "%v", r.Err())
		}
		if strings.TrimSpace(f.text) == "" {
			return fieldError(f.name, "is blank")
		}
	}
	return nil
}

func (w *Warrant) checkScope() error {
	if w.Direction != Sent && w.Direction != SentAndReceived {
		return unsupported("direction", "%d", w.Direction)
	}
	if w.Action != Disclose && w.Action != Preserve {
		return unsupported("action", "%d", w.Action)
	}
	if w.Flags&^allFlags != 0 {
		return unsupported("flags", "%#02x", uint8(w.Flags))
	}
	if len(w.Conversations) > maxConversations {
		return fieldError("conversations", "more than %d", maxConversations)
	}
	seen := make(map[string]bool, len(w.Conversations))
	for _, id := range w.Conversations {
		if len(id) == 0 || len(id) > maxConversation {
			return fieldError("conversations", "id of %d bytes", len(id))
		}
		if seen[string(id)] {
			return fieldError("conversations", "%x named twice", id)
		}
		seen[string(id)] = true
	}
	return nil
}

func (w *Warrant) checkTimes() error {
	start, err := parseTime(w.WindowStart)
	if err != nil {
		return fieldError("window_start", "%v", err)
	}
	end, err := parseTime(w.WindowEnd)
	if err != nil {
		return fieldError("window_end", "%v", err)
	}
	switch {
	case !start.Before(end):
		return fieldError("window_end", "not after window_start")
	case w.NotBefore >= w.NotAfter:
		return fieldError("not_after", "not after not_before")
	case w.NotAfter > wire.MaxTime:
		return fieldError("not_after", "after the year 9999")
	case w.NoticeDue < w.NotBefore || w.NoticeDue > wire.MaxTime:
		return fieldError("notice_due", "before not_before or after the year 9999")
	}
	return nil
}

// parseTime reads an RFC 3339 time in its one canonical spelling: whole
// seconds, capital T, "Z" or a numeric offset other than zero. RFC 3339
// section 4.3 gives "-00:00" to a time whose zone is unknown: refused.
func parseTime(s string) (time.Time, error) {
	t, err := time.ParseInLocation(time.RFC3339, s, time.UTC)
	if err != nil {
		return time.Time{}, errors.New("not an RFC 3339 time with Z or a numeric offset")
	}
	if t.Format(time.RFC3339) != s {
		return time.Time{}, errors.New("ambiguous: write whole seconds and the zone as Z or +hh:mm")
	}
	if t.Unix() < 0 || t.Unix() > wire.MaxTime {
		return time.Time{}, errors.New("before 1970 or after 9999")
	}
	return t, nil
}

func fieldError(field, format string, args ...any) error {
	return fmt.Errorf("warrant: %w: %s: %s", wire.ErrMalformed, field, fmt.Sprintf(format, args...))
}

func unsupported(field, format string, args ...any) error {
	return fmt.Errorf("warrant: %w: %s %s", ErrUnsupported, field, fmt.Sprintf(format, args...))
}

func refused(format string, args ...any) error {
	return fmt.Errorf("warrant: %w: %s", ErrRefused, fmt.Sprintf(format, args...))
}

func wrap(err error) error { return fmt.Errorf("warrant: %w", err) }
