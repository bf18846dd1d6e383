package bundle

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"writ/internal/wire"
	"writ/warrant"
)

// Report is what a bundle shows. It exists only of a bundle that verified.
// Times are RFC 3339 in UTC.
type Report struct {
	SHA256 string `json:"sha256"` // of the file, hexadecimal
	Size   int    `json:"size"`   // of the file, bytes

	Complete bool     `json:"complete"`
	Missing  []string `json:"missing"` // what is missing or unreadable, a sentence each

	KeysProven bool     `json:"keys_proven"` // each opened compartment's key was its account's
	Unproven   []string `json:"unproven"`    // those whose key is not proven to be, a sentence each

	Warrant      WarrantFacts        `json:"warrant"`
	Charter      CharterFacts        `json:"charter"`
	Log          LogFacts            `json:"log"`
	Releases     []ReleaseFacts      `json:"releases"`
	Readings     []ReadingFacts      `json:"readings"` // those known when the file was made
	Compartments []CompartmentReport `json:"compartments"`
	Checks       []Check             `json:"checks"`
	Limits       []string            `json:"limits"` // what no check of this file can show
}

// Check is a check that passed.
type Check struct {
	Name  string `json:"name"`
	Shows string `json:"shows"` // in plain words
	Count int    `json:"count"` // how many things it was made of
}

// WarrantFacts is what the warrant says.
type WarrantFacts struct {
	ID             string          `json:"id"`
	Hash           string          `json:"hash"`
	Index          uint64          `json:"index"` // of its entry on the log
	Request        uint64          `json:"request_index"`
	Reference      string          `json:"reference"`
	LegalType      string          `json:"legal_type"`
	CaseType       string          `json:"case_type"`
	Jurisdiction   string          `json:"jurisdiction"`
	LegalEntity    string          `json:"legal_entity"`
	Subject        string          `json:"subject"`
	Direction      string          `json:"direction"`
	Conversations  []string        `json:"conversations"` // empty: all of the subject's
	WindowStart    string          `json:"window_start"`  // as written in the warrant
	WindowEnd      string          `json:"window_end"`
	NotBefore      string          `json:"not_before"`
	NotAfter       string          `json:"not_after"`
	Necessity      string          `json:"necessity"`
	LeastIntrusive string          `json:"least_intrusive"`
	NoticeDue      string          `json:"notice_due"`
	Emergency      bool            `json:"emergency"`
	Test           bool            `json:"test"`
	Approvals      []ApprovalFacts `json:"approvals"`
}

// ApprovalFacts is one approval.
type ApprovalFacts struct {
	Office   string `json:"office"`
	Title    string `json:"title"` // of the office
	Approver string `json:"approver"`
}

// CharterFacts says which law it was.
type CharterFacts struct {
	Name         string `json:"name"`
	Jurisdiction string `json:"jurisdiction"`
	LegalBasis   string `json:"legal_basis"`
	Version      uint32 `json:"version"`
	Hash         string `json:"hash"`
	Index        uint64 `json:"index"` // of its entry on the log
}

// LogFacts says which log it was and who watches it.
type LogFacts struct {
	Origin    string   `json:"origin"`
	Witnesses []string `json:"witnesses"`
}

// ReleaseFacts is one custodian's logged release.
type ReleaseFacts struct {
	Office    string `json:"office"`
	Custodian string `json:"custodian"`
	Index     uint64 `json:"index"`  // of its entry on the log
	Logged    string `json:"logged"` // at the latest
}

// CompartmentReport is what one device said in one conversation in one epoch.
type CompartmentReport struct {
	Account      string          `json:"account"`
	Device       string          `json:"device"`
	SigningKey   string          `json:"signing_key"` // fingerprint
	Key          *KeyFacts       `json:"key"`         // whose it is; null if not opened
	Conversation string          `json:"conversation"`
	Epoch        uint64          `json:"epoch"`
	Leaf         uint32          `json:"leaf"`
	Opened       string          `json:"opened"` // the epoch, by delivery's clock
	Capsule      string          `json:"capsule"`
	Unopened     bool            `json:"unopened"` // its capsule was forged, as the shares in the bundle show
	Count        uint32          `json:"count"`    // messages, as delivery states
	Messages     []MessageReport `json:"messages"`
	Gaps         []Gap           `json:"gaps"`
}

// MessageReport is one message: its text, or its data if that is not text, or
// why it was set aside.
type MessageReport struct {
	Seq        uint64  `json:"seq"`
	Received   string  `json:"received"`             // by delivery's clock
	Generation *uint32 `json:"generation,omitempty"` // the sender's own count, from 0
	Text       *string `json:"text,omitempty"`
	Data       []byte  `json:"data,omitempty"`
	Aside      string  `json:"set_aside,omitempty"`
	Repeated   bool    `json:"repeated,omitempty"` // the generation stood before: no recipient's device showed this one
}

// Gap is a run of generations that are missing.
type Gap struct {
	From uint32 `json:"from"`
	To   uint32 `json:"to"`
}

// String returns "message 3" or "messages 3 to 5", counting from 1.
func (g Gap) String() string {
	if g.From == g.To {
		return fmt.Sprintf("message %d", uint64(g.From)+1)
	}
	return fmt.Sprintf("messages %d to %d", uint64(g.From)+1, uint64(g.To)+1)
}

// JSON returns the report as JSON, indented. Characters that control, hide or
// reorder text are escaped, so that showing it is safe too.
func (r *Report) JSON() []byte { return EncodeJSON(r) }

// EncodeJSON writes strings, numbers, bytes, lists and maps the way
// [Report.JSON] does.
func EncodeJSON(v any) []byte {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic("bundle: " + err.Error()) // a value that no caller has
	}
	var out []byte
	for _, c := range string(append(b, '\n')) { // outside of strings it is ASCII
		if c == '\n' || unicode.IsGraphic(c) {
			out = utf8.AppendRune(out, c)
			continue
		}
		for _, u := range utf16.AppendRune(nil, c) {
			out = fmt.Appendf(out, "\\u%04x", u)
		}
	}
	return out
}

// Names of checks.
const (
	checkCharter    = "charter"
	checkPolicy     = "witness policy"
	checkKeys       = "custodians' keys"
	checkWarrant    = "warrant"
	checkRequest    = "request"
	checkApprovals  = "approvals"
	checkReleases   = "releases"
	checkReadings   = "readings"
	checkScope      = "scope"
	checkCapsules   = "capsules"
	checkSenders    = "senders"
	checkMessages   = "messages"
	checkWhose      = "whose keys"
	checkStatements = "delivery's statements"
)

// shows says what each check shows.
var shows = map[string]string{
	checkCharter:    "The law is on the public log in all its versions, and each version was signed by those whom the one before it entitles.",
	checkPolicy:     "The charter names the same log and the same witnesses as the policy used for this verification.",
	checkKeys:       "The custodians' keys are those that the custodians signed for the time of each message.",
	checkWarrant:    "The warrant is the one to which the public log was committed, and the log's entry says the same as the warrant.",
	checkRequest:    "The request on the log was for exactly the compartments in this file, no more and no fewer.",
	checkApprovals:  "The approvers the charter demands signed this warrant, and it was within its limits and its life when custodians released.",
	checkReleases:   "Enough custodians, by the charter, put on the log that they release for this request before they did so.",
	checkReadings:   "Each reading listed was put on the log before it was shown, signed by the person whom the warrant names.",
	checkScope:      "Each compartment is one the warrant names: the subject, the conversation, the time.",
	checkCapsules:   "The keys in this file are those the sender had sealed to the custodians: sealed again they give the same bytes. Where there are none, custodians' shares show that the capsule was forged.",
	checkSenders:    "The device that sent is the one named, in this conversation at this time, under this law.",
	checkMessages:   "Each message shown was signed with that device's key. Without that key nobody could have made it, not even all services together.",
	checkWhose:      "The account itself stated the key as that device's on the directory's public log, before the conversation reached this state, and had not revoked it. Where that is not proven the report says so.",
	checkStatements: "Delivery signed the list of messages, their times and the state of the conversation, as they stand here.",
}

// limits is what a reader must not take from a report.
var limits = []string{
	"What person an account is, and whose hand held the device: the directory proves which devices an account stated.",
	"That a revoked key was not used since: who has it, and delivery, can date what they make up to before the revocation.",
	"That the law is the one in force: compare its fingerprint with the one that was published.",
	"The times at which messages were received: they are delivery's word.",
	"That delivery listed the last messages of a compartment: a hole in the middle shows, one at the end only if delivery states the true number.",
	"That the keys in it came out of the custodians' releases: every member of the conversation has them too.",
	"What messages mean, and what others said, unless it is in this file.",
	"Who read it after this file was made, or read a copy in the clear: the public log shows readings of the sealed file.",
	"How many warrants there were in all: the public log shows that to an auditor.",
}

func (v *verifier) passed(check string, count int) {
	v.report.Checks = append(v.report.Checks, Check{check, shows[check], count})
}

// conclude fills in the facts and says what is missing.
func (v *verifier) conclude() {
	r, w, c := v.report, v.warrant, v.law
	r.Charter = CharterFacts{c.Name, c.Jurisdiction, c.LegalBasis, c.Number, c.Hash().String(), r.Charter.Index}
	r.Log.Origin = v.policy.Origin()
	for _, x := range v.policy.Witnesses() {
		r.Log.Witnesses = append(r.Log.Witnesses, x.Name)
	}
	hash, approvals := w.Hash(), r.Warrant.Approvals
	r.Warrant = WarrantFacts{ID: fmt.Sprintf("%x", w.ID), Hash: fmt.Sprintf("%x", hash), Index: v.warrantIn.Index(), Request: v.requestIn.Index(),
		Reference: w.Reference, LegalType: w.LegalType, CaseType: w.CaseType, Jurisdiction: w.Jurisdiction, LegalEntity: w.LegalEntity,
		Subject: w.Subject, Direction: direction(w.Direction), Conversations: []string{}, WindowStart: w.WindowStart, WindowEnd: w.WindowEnd,
		NotBefore: utc(int64(w.NotBefore)), NotAfter: utc(int64(w.NotAfter)), Necessity: w.Necessity, LeastIntrusive: w.LeastIntrusive,
		NoticeDue: utc(int64(w.NoticeDue)), Emergency: w.Flags&warrant.IsEmergency != 0, Test: w.Flags&warrant.IsTest != 0, Approvals: approvals}
	for _, id := range w.Conversations {
		r.Warrant.Conversations = append(r.Warrant.Conversations, fmt.Sprintf("%x", id))
	}
	r.Missing, r.Unproven = []string{}, []string{}
	if r.Readings == nil {
		r.Readings = []ReadingFacts{}
	}
	for i := range r.Compartments {
		r.Missing = append(r.Missing, r.Compartments[i].missing(i+1)...)
		if x := r.Compartments[i].unproven(i + 1); x != "" {
			r.Unproven = append(r.Unproven, x)
		}
	}
	r.Complete, r.KeysProven = len(r.Missing) == 0, len(r.Unproven) == 0
}

func direction(d warrant.Direction) string {
	if d == warrant.SentAndReceived {
		return "what the subject sent and received"
	}
	return "what the subject sent"
}

// Complete reports whether nothing of the compartment is missing or set aside.
func (c *CompartmentReport) Complete() bool { return len(c.missing(1)) == 0 }

// missing lists what is missing of the n-th compartment.
func (c *CompartmentReport) missing(n int) (list []string) {
	add := func(format string, args ...any) {
		list = append(list, fmt.Sprintf("Compartment %d: ", n)+fmt.Sprintf(format, args...))
	}
	if c.Unopened {
		add("its capsule was forged: custodians' shares, to which it commits, open nothing that seals to it. Who forged it, this does not show.")
		return list
	}
	for _, g := range c.Gaps {
		add("%s of the sender's own count missing: delivery lists nothing that its sender said there.", g)
	}
	if uint64(c.Count) != uint64(len(c.Messages)) {
		add("delivery counts %d messages and lists %d.", c.Count, len(c.Messages))
	}
	for _, m := range c.Messages {
		if m.Aside != "" {
			add("the message with number %d was set aside: %s.", m.Seq, m.Aside)
		}
	}
	return list
}

func utc(unix int64) string { return time.Unix(unix, 0).UTC().Format(time.RFC3339) }

const maxMilli = wire.MaxTime*1000 + 999

func utcMilli(ms uint64) string {
	return time.UnixMilli(int64(min(ms, maxMilli))).UTC().Format("2006-01-02T15:04:05.000Z07:00")
}
