package mls

import "time"

// A Config is what the application lends to a group. It is not stored: pass the
// same to whatever makes or loads a group.
type Config struct {
	// Authenticate is the application's authentication service (RFC 9420 5.3.1). It is
	// asked about every leaf that enters a tree: by Add, Update, a commit's path, and
	// the whole tree of a Welcome. An error keeps the leaf, and so the message, out.
	Authenticate func(*LeafNode) error

	// Now tells the time that the lifetimes of key packages are checked against.
	Now func() time.Time

	// MaxSkip bounds how far ahead of a sender's ratchet a message may be, which is
	// the work that one message can cause, and how many skipped keys wait for late
	// messages. 0 means 1000.
	MaxSkip uint32

	// MaxPastEpochs is for how many epochs after their end late application messages
	// can still be read. More is less forward secrecy. 0 means none.
	MaxPastEpochs int

	// MaxResumptionPSKs is how many past epochs' resumption PSKs are kept.
	MaxResumptionPSKs int

	// Padding hides the length of messages: each is padded to a multiple of it, in
	// bytes. 0 means no padding.
	Padding int

	// PSK looks up pre-shared keys that proposals and Welcomes name. Nil knows none.
	PSK func(PSK) ([]byte, error)

	// Replaces, when set, is asked about every leaf that takes a member's place: by
	// Update, by the path of a commit, and by an external commit that removes the
	// joiner's old leaf (RFC 9420 5.3.1: is the new credential a valid successor?).
	// Authenticate is asked about the new leaf too.
	Replaces func(before, after *LeafNode) error

	// ExternalCommits and ExternalProposals let people outside join by themselves
	// (RFC 9420 12.4.3.2) and propose (12.1.8). Both are refused unless asked for.
	ExternalCommits, ExternalProposals bool

	parent *Group // whose resumption PSK the group begins with: Reinit, Branch, JoinSuccessor
}

// A PSK names a pre-shared key (RFC 9420 8.4): an external one by ID, or the
// resumption PSK of an epoch of a group.
type PSK struct {
	ID      []byte
	GroupID []byte // nil for an external one
	Epoch   uint64
}

// check fills in defaults, and refuses a Config that would let anybody in.
func (c Config) check() (Config, error) {
	if c.Authenticate == nil || c.Now == nil {
		return c, refused("Config without Authenticate or Now")
	}
	if c.MaxSkip == 0 {
		c.MaxSkip = 1000
	}
	return c, nil
}
