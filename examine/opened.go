package examine

import (
	"writ/capsule"
	"writ/directory/keyproof"
	"writ/unseal"
)

// Opened is all that the request of an opening gave: what a bundle holds.
type Opened struct {
	Charters []Proven // the charter of the warrant and those before it, from version 1
	Keys     []Proven // custodians' keys that stand outside charters, of the periods used

	Warrant      []byte // warrant.Warrant.Encode
	WarrantSalt  [32]byte
	WarrantEntry Proven
	RequestEntry Proven
	NoticeSalt   [32]byte

	Releases []Release
	Refusals []Refusal
	Failed   map[string]error // custodians, "office/custodian", without an answer that holds, and why
	Bad      []string         // "custodian": its share of some compartment failed its commitment; sorted

	Compartments []Compartment

	Accounts []*keyproof.Proof // whose keys signed what was opened, by account
	Unproven map[string]error  // accounts without such a proof, and why
}

// Proven is an entry with its tlog-proof.
type Proven struct {
	Entry []byte
	Proof []byte
	Index uint64
}

// Release is one custodian's answer, verified.
type Release struct {
	Office, Custodian string
	Intent            Proven
	Release           []byte // unseal.Release.Encode: sealed to the reader key; nil for a hold

	until uint64 // when a hold ends
}

// Refusal is one custodian's signed refusal, verified.
type Refusal struct {
	Office, Custodian string
	Entry             []byte // the refusal entry
	Reason            unseal.Reason
	Logged            bool // whether the custodian says that it logs it
}

// Compartment is one opened compartment.
type Compartment struct {
	Capsule    []byte
	Ratchet    []byte // the leaf's application ratchet secret of generation 0
	SenderData []byte // the epoch's sender data secret
	Forged     error  // not nil: the capsule opens nothing that seals to it, and the secrets are empty

	Shares [][capsule.ShareSize]byte // of a forged one: see unseal.Combiner.Good

	GroupContext []byte
	LeafProof    []byte
	RosterProof  []byte
	Opened       uint64 // when the epoch was opened, Unix seconds
	Messages     []Message
	Count        uint32 // of messages, as delivery states
	Statement    []byte // delivery's signature of a capsule.Statement
}

// Message is a ciphertext as delivery has it.
type Message struct {
	Seq        uint64
	Received   uint64 // Unix milliseconds
	Ciphertext []byte
}

// Skipped is a compartment that was disclosed and not asked for.
type Skipped struct {
	Conversation []byte
	Epoch        uint64
	Leaf         uint32
	Why          string
}
