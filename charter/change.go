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
	told := *old // what a reader of the sentences knows of the new version
	told.Number, told.Previous, told.Keys = new.Number, new.Previous, new.Keys
	for _, p := range parts {
		if s := p.says(old, new); len(s) > 0 {
			says = append(says, s...)
			p.take(&told, new)
		}
	}
	if !bytes.Equal(told.Encode(), new.Encode()) {
		says = append(says, "Other parts of the law changed too: read it whole.")
	}
	if len(says) == 1 {
		says = append(says, "Nothing else changed.")
	}
	return says
}

// parts are what sentences speak of: each with the fields of which its sentences, if there
// are any, tell the change. Keys of custodians for single periods are no change of the
// law.
var parts = []struct {
	says func(old, new *Charter) []string
	take func(told, new *Charter)
}{
	{changedTexts, func(told, new *Charter) {
		told.Jurisdiction, told.LegalBasis, told.Language = new.Jurisdiction, new.LegalBasis, new.Language
		told.Review, told.CaseTypes = new.Review, new.CaseTypes
	}},
	{changedOffices, func(told, new *Charter) { told.Offices = new.Offices }},
	{changedStructure, func(told, new *Charter) { told.Structure = new.Structure }},
	{changedApproval, func(told, new *Charter) { told.Approval = new.Approval }},
	{changedPrivilege, func(told, new *Charter) { told.Privilege = new.Privilege }},
	{changedAmendment, func(told, new *Charter) { told.Amendment = new.Amendment }},
	{changedPasskeys, func(told, new *Charter) {
		told.SyncedPasskeys, told.RPID, told.Origins = new.SyncedPasskeys, new.RPID, new.Origins
	}},
	{changedServices, func(told, new *Charter) {
		told.Docket, told.Delivery, told.Policy, told.Directory = new.Docket, new.Delivery, new.Policy, new.Directory
	}},
	{changedBeacon, func(told, new *Charter) { told.Beacon = new.Beacon }},
	{changedLimits, func(told, new *Charter) { told.Limits = new.Limits }},
}

// differs returns a sentence if two texts are not the same.
func differs(what, old, new string) []string {
	if old == new {
		return nil
	}
	return []string{fmt.Sprintf("%s: %s. Before: %s.", what, line(new), line(old))}
}

func changedTexts(old, new *Charter) []string {
	date := func(c *Charter) string {
		at, layout := time.Unix(int64(c.Review), 0).UTC(), "2 January 2006 15:04 UTC"
		if at.Second() != 0 {
			layout = "2 January 2006 15:04:05 UTC"
		}
		return at.Format(layout)
	}
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

// changedStructure says the gates, and who stands in them: a gate of one office is said
// by numbers.
func changedStructure(old, new *Charter) []string {
	return slices.Concat(
		differs("To open anything takes", old.explainNode(old.Structure), new.explainNode(new.Structure)),
		differs("The custodians who hold a part of each key are", old.holders(), new.holders()),
	)
}

func (c *Charter) holders() string {
	var names []string
	for _, l := range c.Structure.leaves() {
		names = append(names, l.Custodian+" of "+c.title(l.Office))
	}
	return join(names, "and")
}

func changedApproval(old, new *Charter) []string {
	return differs("A warrant needs the signatures of", old.explainRules(old.Approval), new.explainRules(new.Approval))
}

func changedPrivilege(old, new *Charter) []string {
	return differs("Privileged conversations", old.explainPrivilege(), new.explainPrivilege())
}

func changedAmendment(old, new *Charter) []string {
	return differs("This law changes only with the signatures of", old.explainRules(old.Amendment), new.explainRules(new.Amendment))
}

func changedPasskeys(old, new *Charter) []string {
	synced := map[bool]string{false: "no", true: "yes"}
	from := func(c *Charter) string {
		if c.RPID == "" {
			return "nowhere"
		}
		return strings.Join(append([]string{c.RPID}, c.Origins...), ", ")
	}
	return slices.Concat(
		differs("Passkeys that leave their device may approve", synced[old.SyncedPasskeys], synced[new.SyncedPasskeys]),
		differs("Passkeys approve from", from(old), from(new)),
	)
}

func changedServices(old, new *Charter) (says []string) {
	for _, x := range []struct {
		changed bool
		says    string
	}{
		{new.Docket != old.Docket, "The docket, which publishes warrants, has another key."},
		{new.Delivery != old.Delivery, "The delivery service has another key."},
		{new.Policy != old.Policy, "The witnesses of the public log changed."},
		{new.Directory.Policy != old.Directory.Policy, "The witnesses of the directory, which says whose devices are whose, changed."},
		{new.Directory.VRF != old.Directory.VRF, "The directory has another key under which it hides names."},
	} {
		if x.changed {
			says = append(says, x.says)
		}
	}
	return says
}

func changedBeacon(old, new *Charter) []string {
	switch a, b := old.Beacon, new.Beacon; {
	case a == nil || b == nil || a.Key.Equal(b.Key) && a.Genesis == b.Genesis && a.Period == b.Period:
		return nil
	case a.Key.Equal(b.Key):
		return []string{"The beacon by whose rounds people are told has another clock."}
	}
	return []string{"The beacon by whose rounds people are told has another key."}
}

func changedLimits(old, new *Charter) (says []string) {
	was := limitBounds(&old.Limits)
	for i, l := range limitBounds(&new.Limits) {
		if l.value != was[i].value {
			says = append(says, fmt.Sprintf("The %s is %s. Before: %s.", l.name, l.say(), was[i].say()))
		}
	}
	return slices.Concat(says,
		differs("Emergencies", old.explainUrgent(), new.explainUrgent()),
		differs("Cost", old.Limits.Tariff.explain(), new.Limits.Tariff.explain()))
}
