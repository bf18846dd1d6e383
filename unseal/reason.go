package unseal

import (
	"errors"
	"fmt"

	"writ/ledger"
	"writ/warrant"
)

// Reason is the code of a refusal, as the ledger states it. Codes never change
// their meaning.
type Reason uint8

// The reasons, in the order in which [Authorize] looks for them.
const (
	ReasonMalformed    Reason = 1  // R37: warrant or an entry doesn't parse whole
	ReasonCharter      Reason = 2  // not under the charter in force, or I am not its custodian
	ReasonPolicy       Reason = 3  // my witness policy is not the charter's
	ReasonJurisdiction Reason = 4  // not the charter's jurisdiction
	ReasonCaseType     Reason = 5  // not a case type of the charter
	ReasonEmergency    Reason = 6  // the charter has no urgent procedure
	ReasonLifeLength   Reason = 7  // R19: its life is too long
	ReasonWindow       Reason = 8  // R19: its window is too long
	ReasonNoticeDelay  Reason = 9  // notice later than the charter's longest delay
	ReasonApprovals    Reason = 10 // an approval in the entry does not hold, or they are not those that the charter asks for
	ReasonNotLogged    Reason = 11 // R2: an entry is not proven under a witnessed checkpoint
	ReasonStale        Reason = 12 // R2, R36: no fresh cosignatures, or my clock is behind them
	ReasonLedger       Reason = 13 // my own copy of the ledger has no such entry
	ReasonRequest      Reason = 14 // the request entry is for another warrant entry
	ReasonEntry        Reason = 15 // the warrant entry does not fit the warrant; looked at after 3
	ReasonLife         Reason = 16 // R19: outside the warrant's life
	ReasonReview       Reason = 17 // R39: the charter's review date has passed
	ReasonCap          Reason = 18 // R10: the cap of subjects is reached
	ReasonNotice       Reason = 19 // the notice leaves are not those of the compartments
	ReasonCapsule      Reason = 20 // a capsule does not parse or not fit the charter
	ReasonScopeCharter Reason = 21 // a compartment under another charter, an earlier version that the warrant does not fit, or another key period
	ReasonScopeWindow  Reason = 22 // a compartment opened outside the window
	ReasonScopeSubject Reason = 23 // a compartment of another person
	ReasonScopeList    Reason = 24 // a conversation that is not listed
	ReasonScopeTest    Reason = 25 // a test that reaches a person
	ReasonHorizon      Reason = 26 // R8: the key period's horizon has passed
	ReasonKey          Reason = 27 // I have no key of that period
	ReasonShare        Reason = 28 // R4: my share does not open under exactly this label
	ReasonObjection    Reason = 29 // R33: conscience or objection, by hand
	ReasonCancelled    Reason = 30 // an office that approved the warrant cancelled it
	ReasonUnconfirmed  Reason = 31 // R18: an emergency that was refused, or not confirmed in time
	ReasonError        Reason = 32 // R22: an error stands against the warrant
	ReasonAction       Reason = 35 // R28: the charter lets nothing be kept, or no longer
	ReasonPrivilege    Reason = 33 // R35: privileged, without the office that must approve that
	ReasonRound        Reason = 34 // R16: round or timelock of the notice is wrong; looked at after 19
	ReasonRenewal      Reason = 36 // R20: what it renews is not a warrant of the same person
)

// sentences are for people: what the custodian says.
var sentences = map[Reason]string{
	ReasonMalformed:    "The warrant or a ledger entry can't be read whole.",
	ReasonCharter:      "The warrant is not under the charter in force, or I am not its custodian.",
	ReasonPolicy:       "My witness policy is not the charter's.",
	ReasonJurisdiction: "The warrant is not of the charter's jurisdiction.",
	ReasonCaseType:     "The charter does not allow this case type.",
	ReasonEmergency:    "The charter has no urgent procedure.",
	ReasonLifeLength:   "The warrant's life is longer than the charter allows.",
	ReasonWindow:       "The warrant's window is longer than the charter allows.",
	ReasonNoticeDelay:  "The person would be told later than the charter allows.",
	ReasonApprovals:    "The approvals do not satisfy the charter.",
	ReasonNotLogged:    "An entry is not proven to be on the witnessed ledger.",
	ReasonStale:        "The ledger's witnesses have not cosigned within the time the charter demands of me.",
	ReasonLedger:       "My own copy of the ledger does not have the entries.",
	ReasonRequest:      "The request on the ledger is for another warrant.",
	ReasonEntry:        "The entry on the ledger does not fit the warrant.",
	ReasonLife:         "The warrant has not begun or has ended.",
	ReasonReview:       "The charter's review date has passed.",
	ReasonCap:          "The cap of subjects for this period is reached.",
	ReasonNotice:       "The notices on the ledger are not those of the compartments asked for.",
	ReasonCapsule:      "A capsule can't be read or does not fit the charter.",
	ReasonScopeCharter: "A compartment is sealed under a charter or key period that the warrant does not reach.",
	ReasonScopeWindow:  "A compartment was opened outside the warrant's window.",
	ReasonScopeSubject: "A compartment is not of the warrant's subject.",
	ReasonScopeList:    "A compartment is of a conversation that the warrant does not list.",
	ReasonScopeTest:    "A test warrant reaches a person.",
	ReasonHorizon:      "The horizon of a compartment's keys has passed.",
	ReasonKey:          "I do not have the key for a compartment's period.",
	ReasonShare:        "My share of a compartment does not open under its label.",
	ReasonObjection:    "I object.",
	ReasonCancelled:    "The warrant was cancelled.",
	ReasonUnconfirmed:  "The warrant was urgent, and was refused or not confirmed in time.",
	ReasonError:        "An error stands against the warrant.",
	ReasonRenewal:      "What the warrant renews is not a warrant of the same person.",
	ReasonAction:       "The charter lets nothing be kept under this warrant, or no longer.",
	ReasonPrivilege:    "What is asked for is privileged, and the office that must agree to that has not.",
	ReasonRound:        "The person would not be told at the time that the warrant sets.",
}

// String returns a plain sentence in the custodian's voice.
func (r Reason) String() string {
	if s, ok := sentences[r]; ok {
		return s
	}
	return fmt.Sprintf("Reason %d.", uint8(r))
}

// Refusal is a custodian's answer when it does not release. Only Request,
// office, custodian and reason go on the ledger; Why is for the custodian's own
// record, because it may name the subject.
type Refusal struct {
	Request           ledger.EntryHash
	Office, Custodian string
	Reason            Reason
	Why               string
}

// Refuse is a refusal by hand, for reasons of conscience or an objection (R33).
func Refuse(request ledger.EntryHash, office, custodian, why string) *Refusal {
	return &Refusal{request, office, custodian, ReasonObjection, why}
}

// Sign returns the refusal as an entry for the ledger.
func (r *Refusal) Sign(key ledger.CustodianSigner) *ledger.Refusal {
	entry := &ledger.Refusal{Request: r.Request, Office: r.Office, Custodian: r.Custodian, Reason: uint8(r.Reason)}
	entry.Sign(key)
	return entry
}

// ruleReasons maps what [warrant.Verify] refuses.
var ruleReasons = map[warrant.Rule]Reason{
	warrant.RuleCharter:      ReasonCharter,
	warrant.RuleJurisdiction: ReasonJurisdiction,
	warrant.RuleCaseType:     ReasonCaseType,
	warrant.RulePrivilege:    ReasonPrivilege,
	warrant.RuleEmergency:    ReasonEmergency,
	warrant.RuleLifeLength:   ReasonLifeLength,
	warrant.RuleWindow:       ReasonWindow,
	warrant.RuleNotice:       ReasonNoticeDelay,
	warrant.RuleApproval:     ReasonApprovals,
	warrant.RuleLife:         ReasonLife,
	warrant.RuleReview:       ReasonReview,
}

// reasonOf returns the reason for an error of [warrant.Verify].
func reasonOf(err error) Reason {
	var e *warrant.RefusedError
	if errors.As(err, &e) {
		return ruleReasons[e.Rule]
	}
	return ReasonMalformed
}
