package client

import (
	"encoding/hex"
	"fmt"
	"time"

	"writ/directory"
	"writ/internal/wire"
)

// A ConversationID is the MLS group id of a conversation.
type ConversationID [16]byte

// String returns the id in hexadecimal.
func (id ConversationID) String() string { return hex.EncodeToString(id[:]) }

// ParseConversationID undoes [ConversationID.String].
func ParseConversationID(s string) (ConversationID, error) {
	var id ConversationID
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) || hex.EncodeToString(b) != s {
		return ConversationID{}, fmt.Errorf("client: malformed: %q is not a conversation id", s)
	}
	return ConversationID(b), nil
}

// EventKind says what an Event tells.
type EventKind uint8

const (
	// Message is a message whose capsule was checked: Sender, Text.
	Message EventKind = iota + 1
	// Held is a message that is not shown, and why: Sender, Reason.
	Held
	// Released is a message that was held before and has now been checked: Sender, Text.
	Released
	// Joined is an account's device that came in: Sender added Member.
	Joined
	// Left is a device that is no longer in: Sender removed Member.
	Left
	// Removed is this device's end in the conversation: Sender did it.
	Removed
	// Fault is something that an honest delivery service and honest members
	// never do: Reason.
	Fault
	// NewLaw is a member that speaks under another law from now on: Sender, Reason.
	NewLaw
	// Unsent is an own message or invitation that will not arrive: Text, Reason.
	Unsent
)

var eventNames = [...]string{"", "message", "held", "released", "joined", "left", "removed", "fault", "new law", "unsent"}

// String returns the kind in a word.
func (k EventKind) String() string {
	if int(k) < len(eventNames) {
		return eventNames[k]
	}
	return fmt.Sprintf("event %d", uint8(k))
}

// An Event is one thing that happened in a conversation.
type Event struct {
	Conversation ConversationID
	Number       uint64 // 1, 2, ... in each conversation on this device
	Kind         EventKind
	Seq          uint64 // place in delivery's order; 0 if it has none
	Epoch        uint64
	Time         time.Time // when delivery received it, by delivery's clock
	Sender       directory.Identity
	Member       directory.Identity
	Text         string
	Reason       string
}

func (e *Event) encode(w *wire.Writer) {
	w.Uint64(e.Number)
	w.Uint8(uint8(e.Kind))
	w.Uint64(e.Seq)
	w.Uint64(e.Epoch)
	w.Uint64(uint64(e.Time.UnixMilli()))
	for _, s := range []string{e.Sender.Account, e.Sender.Device, e.Member.Account, e.Member.Device, e.Text, e.Reason} {
		w.Opaque([]byte(s))
	}
}

func readEvent(r *wire.Reader, id ConversationID) Event {
	e := Event{Conversation: id, Number: r.Uint64(), Kind: EventKind(r.Uint8()), Seq: r.Uint64(), Epoch: r.Uint64(),
		Time: time.UnixMilli(int64(r.Uint64())).UTC()}
	for _, s := range []*string{&e.Sender.Account, &e.Sender.Device, &e.Member.Account, &e.Member.Device, &e.Text, &e.Reason} {
		*s = string(r.Opaque(maxText))
	}
	return e
}

func encodeEvents(events []Event) []byte {
	var w wire.Writer
	w.Vector(func(w *wire.Writer) {
		for i := range events {
			events[i].encode(w)
		}
	})
	return w.Bytes()
}

func parseEvents(b []byte, id ConversationID) ([]Event, error) {
	r := wire.NewReader(b)
	v := r.Vector(maxRecord)
	var events []Event
	for v.More() {
		events = append(events, readEvent(v, id))
	}
	r.Check(v.Done())
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("client: events: %w", err)
	}
	return events, nil
}
