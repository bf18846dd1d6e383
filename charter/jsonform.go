package charter

import (
	"errors"
	"fmt"

	"writ/notice/beacon"
)

var modeNames = map[Mode]string{NoAccess: "none", AccountableAccess: "accountable"}

var kemNames = map[KEM]string{XWing: "x-wing", MLKEM768P256: "mlkem768-p256"}

// named returns the key whose name stands in a map.
func named[K comparable](names map[K]string, name string) (key K, err error) {
	for k, n := range names {
		if n == name {
			return k, nil
		}
	}
	return key, fmt.Errorf("unknown value %q", name)
}

func convert[A, B any](in []A, f func(A) B) []B {
	var out []B
	for _, a := range in {
		out = append(out, f(a))
	}
	return out
}

func toJSON(c *Charter) *jsonCharter {
	j := &jsonCharter{Name: c.Name, Jurisdiction: c.Jurisdiction, LegalBasis: c.LegalBasis, Language: c.Language,
		Number: c.Number, Access: modeNames[c.Mode], CaseTypes: c.CaseTypes, Policy: c.Policy,
		Directory: jsonDirectory{c.Directory.Policy, c.Directory.VRF[:]}}
	if c.Previous != (Hash{}) {
		j.Previous = c.Previous[:]
	}
	if c.Mode == NoAccess {
		return j
	}
	review := jsonTime(c.Review)
	j.Review = &review
	j.Offices = convert(c.Offices, officeToJSON)
	structure := nodeToJSON(c.Structure)
	j.Structure = &structure
	toRule := func(r Rule) jsonRule { return jsonRule(r) }
	j.Approval, j.Amendment, j.Privilege = convert(c.Approval, toRule), convert(c.Amendment, toRule), convert(c.Privilege, toRule)
	j.Limits = limitsToJSON(&c.Limits)
	j.Services = &jsonServices{c.Docket[:], c.Delivery[:]}
	if b := c.Beacon; b != nil {
		j.Beacon = &jsonBeacon{b.Key.Bytes(), jsonTime(b.Genesis), seconds(b.Period)}
	}
	if c.usesWebAuthn() {
		j.WebAuthn = &jsonWebAuthn{c.RPID, c.Origins, c.SyncedPasskeys}
	}
	j.Keys = convert(c.Keys, func(k *KeyStatement) jsonKey {
		return jsonKey{k.CharterName, k.Office, k.Custodian, k.Period, kemNames[k.KEM], k.PublicKey, k.Signature[:]}
	})
	return j
}

func officeToJSON(o Office) jsonOffice {
	return jsonOffice{o.ID, o.Title,
		convert(o.Approvers, func(a Approver) jsonApprover {
			if k := a.WebAuthn; k != nil {
				return jsonApprover{ID: a.ID, Credential: &jsonCredential{k.CredentialID, k.Algorithm, k.PublicKey}, MailKey: a.Mail}
			}
			return jsonApprover{ID: a.ID, SigningKey: a.Key[:], MailKey: a.Mail}
		}),
		convert(o.Custodians, func(c Custodian) jsonCustodian { return jsonCustodian{c.ID, c.Key[:], c.Mail} })}
}

func nodeToJSON(n *Node) jsonNode {
	if n == nil {
		return jsonNode{}
	}
	return jsonNode{n.Threshold, convert(n.Children, nodeToJSON), n.Office, n.Custodian}
}

func limitsToJSON(l *Limits) *jsonLimits {
	j := &jsonLimits{seconds(l.MaxEpochAge), seconds(l.MaxWindow), seconds(l.MaxWarrantLife), l.CapSubjects,
		seconds(l.CapPeriod), seconds(l.MaxNoticeDelay), seconds(l.KeyPeriod), seconds(l.Horizon),
		seconds(l.ActivationDelay), seconds(l.Freshness), seconds(l.MaxHold), nil, (*jsonTariff)(l.Tariff)}
	if u := l.Urgent; u != nil {
		j.Urgent = &jsonUrgent{seconds(u.MaxLife), seconds(u.ReviewWithin)}
	}
	return j
}

// charter returns what the JSON says; it is not validated yet.
func (j *jsonCharter) charter() (*Charter, error) {
	mode, err := named(modeNames, j.Access)
	if err != nil {
		return nil, fmt.Errorf("access: %w", err)
	}
	c := &Charter{Name: j.Name, Jurisdiction: j.Jurisdiction, LegalBasis: j.LegalBasis, Language: j.Language,
		Number: j.Number, Mode: mode, CaseTypes: j.CaseTypes, Policy: j.Policy,
		Directory: Directory{Policy: j.Directory.Policy}}
	errs := []error{copyKey(c.Previous[:], j.Previous, "previous"), copyKey(c.Directory.VRF[:], j.Directory.VRFKey, "vrf_key")}
	if j.Review != nil {
		c.Review = uint64(*j.Review)
	}
	c.Offices = convert(j.Offices, func(o jsonOffice) Office { return o.office(&errs) })
	if j.Structure != nil {
		c.Structure = j.Structure.node()
	}
	toRule := func(r jsonRule) Rule { return Rule(r) }
	c.Approval, c.Amendment, c.Privilege = convert(j.Approval, toRule), convert(j.Amendment, toRule), convert(j.Privilege, toRule)
	if j.Limits != nil {
		c.Limits = j.Limits.limits()
	}
	if s := j.Services; s != nil {
		errs = append(errs, copyKey(c.Docket[:], s.DocketKey, "docket_key"), copyKey(c.Delivery[:], s.DeliveryKey, "delivery_key"))
	}
	if b := j.Beacon; b != nil {
		key, err := beacon.ParsePublicKey(b.Key)
		errs = append(errs, err)
		c.Beacon = &beacon.Beacon{Key: key, Genesis: uint64(b.Genesis), Period: uint64(b.Period)}
	}
	if w := j.WebAuthn; w != nil {
		c.RPID, c.Origins, c.SyncedPasskeys = w.RPID, w.Origins, w.SyncedPasskeys
	}
	c.Keys = convert(j.Keys, func(k jsonKey) *KeyStatement { return k.statement(&errs) })
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return c, nil
}

func (j jsonOffice) office(errs *[]error) Office {
	return Office{j.ID, j.Title,
		convert(j.Approvers, func(a jsonApprover) Approver {
			out := Approver{ID: a.ID, Mail: a.MailKey}
			*errs = append(*errs, copyKey(out.Key[:], a.SigningKey, "signing_key of "+a.ID))
			if k := a.Credential; k != nil {
				out.WebAuthn = &WebAuthnKey{k.ID, k.Algorithm, k.PublicKey}
			}
			return out
		}),
		convert(j.Custodians, func(c jsonCustodian) Custodian {
			out := Custodian{ID: c.ID, Mail: c.MailKey}
			*errs = append(*errs, copyKey(out.Key[:], c.SigningKey, "signing_key of "+c.ID))
			return out
		})}
}

func (j *jsonNode) node() *Node {
	return &Node{j.Threshold, convert(j.Of, func(n jsonNode) *Node { return n.node() }), j.Office, j.Custodian}
}

func (j *jsonLimits) limits() Limits {
	l := Limits{uint64(j.MaxEpochAge), uint64(j.MaxWindow), uint64(j.MaxWarrantLife), j.CapSubjects,
		uint64(j.CapPeriod), uint64(j.MaxNoticeDelay), uint64(j.KeyPeriod), uint64(j.Horizon),
		uint64(j.ActivationDelay), uint64(j.Freshness), uint64(j.MaxHold), nil, (*Tariff)(j.Tariff)}
	if u := j.Urgent; u != nil {
		l.Urgent = &Urgent{uint64(u.MaxLife), uint64(u.ReviewWithin)}
	}
	return l
}

func (j jsonKey) statement(errs *[]error) *KeyStatement {
	kem, err := named(kemNames, j.KEM)
	k := &KeyStatement{CharterName: j.CharterName, Office: j.Office, Custodian: j.Custodian, Period: j.Period,
		KEM: kem, PublicKey: j.PublicKey}
	*errs = append(*errs, err, copyKey(k.Signature[:], j.Signature, "signature of "+j.Custodian))
	return k
}
