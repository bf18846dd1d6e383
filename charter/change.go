package charter

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Changes says in plain sentences what a version changes against an earlier one of
// the same law, for a person to read before they go on under it. Each is one line.
// What has no sentence of its own is not passed over: the last sentence says that there
// is more.
func Changes(old, new *Charter) []string {
	says := []string{fmt.Sprintf("%s, version %d, in place of version %d.", line(new.Name), new.Number, old.Number)}
	if new.Mode != old.Mode {
		return append(says, "There is no exceptional access any more: no capsule is made, and no warrant can open anything. "+
			"The custodians' keys are destroyed.")
	}
	says = append(says, changedTexts(old, new)...)
	says = append(says, changedOffices(old, new)...)
	says = append(says, changedRules(old, new)...)
	says = append(says, changedLimits(old, new)...)
	if more(old, new) {
		says = append(says, "Other parts of the law changed too: read it whole.")
	}
	if len(says) == 1 {
		says = append(says, "Nothing else changed.")
	}
	return says
}

// differs returns a sentence if two texts are not the same.
func differs(what, old, new string) []string {
	if old == new {
		return nil
	}
	return []string{fmt.Sprintf("%s: %s. Before: %s.", what, line(new), line(old))}
}

func changedTexts(old, new *Charter) []string {
	date := func(c *Charter) string { return time.Unix(int64(c.Review), 0).UTC().Format("2 January 2006 15:04 UTC") }
	return slices.Concat(
		differs("Jurisdiction", old.Jurisdiction, new.Jurisdiction),
		differs("Legal basis", old.LegalBasis, new.LegalBasis),
		differs("Language of record", old.Language, new.Language),
		differs("Nothing new is authorised after", date(old), date(new)),
		differs("A warrant is for one of these cases", strings.Join(old.CaseTypes, ", "), strings.Join(new.CaseTypes, ", ")),
	)
}

// changedOffices says who joined, who left and who has another key.
func changedOffices(old, new *Charter) (says []string) {
	for _, o := range old.Offices {
		if new.Office(o.ID) == nil {
			says = append(says, fmt.Sprintf("The office %s left.", line(o.Title)))
		}
	}
	for _, o := range new.Offices {
		was := old.Office(o.ID)
		if was == nil {
			says, was = append(says, fmt.Sprintf("The office %s joined.", line(o.Title))), &Office{}
		} else {
			says = append(says, differs("The office "+o.ID+" is called", was.Title, o.Title)...)
		}
		says = append(says, changedPeople("Approver", line(o.Title), approverKeys(was), approverKeys(&o))...)
		says = append(says, changedPeople("Custodian", line(o.Title), custodianKeys(was), custodianKeys(&o))...)
	}
	return says
}

// person is somebody's name and keys, encoded.
type person struct{ name, keys string }

func approverKeys(o *Office) []person {
	return convert(o.Approvers, func(a Approver) person {
		keys := string(a.Key[:]) + string(a.Mail)
		if k := a.WebAuthn; k != nil {
			keys = fmt.Sprintf("%x %d %x %x", k.CredentialID, k.Algorithm, k.PublicKey, a.Mail)
		}
		return person{a.ID, keys}
	})
}

func custodianKeys(o *Office) []person {
	return convert(o.Custodians, func(c Custodian) person { return person{c.ID, string(c.Key[:]) + string(c.Mail)} })
}

func changedPeople(role, office string, old, new []person) (says []string) {
	named := func(list []person, name string) int {
		return slices.IndexFunc(list, func(p person) bool { return p.name == name })
	}
	for _, p := range old {
		if named(new, p.name) < 0 {
			says = append(says, fmt.Sprintf("%s %s of %s left.", role, p.name, office))
		}
	}
	for _, p := range new {
		if i := named(old, p.name); i < 0 {
			says = append(says, fmt.Sprintf("%s %s of %s joined.", role, p.name, office))
		} else if old[i].keys != p.keys {
			says = append(says, fmt.Sprintf("%s %s of %s has other keys.", role, p.name, office))
		}
	}
	return says
}

func changedRules(old, new *Charter) []string {
	passkeys := map[bool]string{false: "no", true: "yes"}
	says := slices.Concat(
		differs("To open anything takes", old.explainNode(old.Structure), new.explainNode(new.Structure)),
		differs("A warrant needs the signatures of", old.explainRules(old.Approval), new.explainRules(new.Approval)),
		differs("Privileged conversations", old.explainPrivilege(), new.explainPrivilege()),
		differs("This law changes only with the signatures of", old.explainRules(old.Amendment), new.explainRules(new.Amendment)),
		differs("Passkeys that leave their device may approve", passkeys[old.SyncedPasskeys], passkeys[new.SyncedPasskeys]),
	)
	if new.Docket != old.Docket {
		says = append(says, "The docket, which publishes warrants, has another key.")
	}
	if new.Delivery != old.Delivery {
		says = append(says, "The delivery service has another key.")
	}
	if new.Policy != old.Policy {
		says = append(says, "The witnesses of the public log changed.")
	}
	if !bytes.Equal(new.Beacon.Encode(), old.Beacon.Encode()) {
		says = append(says, "The beacon by whose rounds people are told has another key.")
	}
	return says
}

func changedLimits(old, new *Charter) (says []string) {
	was := limitBounds(&old.Limits)
	for i, l := range limitBounds(&new.Limits) {
		if l.value != was[i].value {
			says = append(says, fmt.Sprintf("The %s is %s. Before: %s.", l.name, l.say(), was[i].say()))
		}
	}
	return append(says, differs("Emergencies", old.explainUrgent(), new.explainUrgent())...)
}

// more reports whether there are changes beside those that have sentences. Keys of
// custodians for single periods are no change of the law.
func more(old, new *Charter) bool {
	told := *old
	told.Number, told.Previous, told.Keys = new.Number, new.Previous, new.Keys
	told.Jurisdiction, told.LegalBasis, told.Language, told.Review = new.Jurisdiction, new.LegalBasis, new.Language, new.Review
	told.Offices, told.Structure, told.Approval, told.Amendment = new.Offices, new.Structure, new.Approval, new.Amendment
	told.Limits, told.CaseTypes, told.SyncedPasskeys = new.Limits, new.CaseTypes, new.SyncedPasskeys
	told.Privilege = new.Privilege
	told.Docket, told.Delivery, told.Policy, told.Beacon = new.Docket, new.Delivery, new.Policy, new.Beacon
	return !bytes.Equal(told.Encode(), new.Encode())
}
