// Package chartertest makes valid charters with all their private keys, for
// the tests of packages that work under one. Keys derive from a seed, so the
// same call gives the same bytes.
//
// Who holds two custodians' private keys at once breaks what a charter is for:
// nothing but tests may import this package.
package chartertest

import (
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"writ/charter"
	"writ/notice/beacon/beacontest"
)

// Now is a time in the first key period of the charters made here.
var Now = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

// Shape is an office: Need of Custodians are needed to open, Approve of
// Approvers to approve and to amend.
type Shape struct {
	Office             string
	Need, Custodians   int
	Approve, Approvers int
	Privilege          int                   // of its approvers, for privileged conversations
	Token              int                   // so many of its custodians use MLKEM768-P256
	WebAuthn           []charter.WebAuthnKey // further approvers, named OFFICE-key-1, ...
}

// Three is the default: judicial 2 of 3, oversight 1 of 2, publication 2 of 3,
// approved by one judge of two and one overseer of two.
var Three = []Shape{
	{Office: "judicial", Need: 2, Custodians: 3, Approve: 1, Approvers: 2},
	{Office: "oversight", Need: 1, Custodians: 2, Approve: 1, Approvers: 2, Token: 1},
	{Office: "publication", Need: 2, Custodians: 3},
}

// WithBar is [Three] and a bar, one of whose two approvers must approve too where
// privileged conversations are asked for.
var WithBar = append(Three[:len(Three):len(Three)], Shape{Office: "bar", Approvers: 2, Privilege: 1})

// World is a charter and everybody's private keys. Custodians are named
// OFFICE-1, OFFICE-2, ..., approvers OFFICE-approver-1, ...
type World struct {
	Charter    *charter.Charter
	Approvers  map[string]ed25519.PrivateKey // by name
	Custodians map[string]ed25519.PrivateKey // by name
	Mail       map[string]hpke.PrivateKey    // by name of approver or custodian
	Docket     ed25519.PrivateKey
	Delivery   ed25519.PrivateKey
	Beacon     *beacontest.World
	seed       string
	tokens     map[string]bool
}

// New returns a world of the given shapes, [Three] if there are none, with the
// custodians' keys for the period of [Now] and the next.
func New(seed string, shapes ...Shape) *World {
	if len(shapes) == 0 {
		shapes = Three
	}
	w := &World{Charter: base(), Approvers: map[string]ed25519.PrivateKey{}, Custodians: map[string]ed25519.PrivateKey{},
		Mail: map[string]hpke.PrivateKey{}, Beacon: clock(), seed: seed, tokens: map[string]bool{}}
	w.Docket, w.Delivery = w.signer("docket"), w.signer("delivery")
	c := w.Charter
	c.Docket, c.Delivery = charter.DocketKey(public(w.Docket)), charter.DeliveryKey(public(w.Delivery))
	c.Structure = &charter.Node{}
	for _, s := range shapes {
		w.add(s)
	}
	c.Structure.Threshold = uint8(len(c.Structure.Children))
	first := c.Period(Now)
	for _, l := range c.Offices {
		for _, cu := range l.Custodians {
			c.Keys = append(c.Keys, w.Statement(l.ID, cu.ID, first), w.Statement(l.ID, cu.ID, first+1))
		}
	}
	return w
}

// clock is the beacon of all worlds, two of three operators, with a round each
// minute of the year of [Now].
var clock = sync.OnceValue(func() *beacontest.World {
	genesis := time.Date(Now.Year(), 1, 1, 0, 0, 0, 0, time.UTC)
	return beacontest.New("chartertest", uint64(genesis.Unix()), 60, 2, 3)
})

func base() *charter.Charter {
	const hour, day = 3600, 24 * 3600
	return &charter.Charter{
		Name: "Testland Communications Warrants", Jurisdiction: "Testland", LegalBasis: "Test Act 2026, section 4",
		Language: "en", Number: 1, Review: uint64(Now.Add(365 * 24 * time.Hour).Unix()), Mode: charter.AccountableAccess,
		Limits: charter.Limits{MaxEpochAge: day, MaxWindow: 31 * day, MaxWarrantLife: 30 * day, CapSubjects: 10,
			CapPeriod: 30 * day, MaxNoticeDelay: 90 * day, KeyPeriod: 30 * day, Horizon: 180 * day,
			ActivationDelay: 7 * day, Freshness: 10 * 60, MaxHold: 366 * day, Urgent: &charter.Urgent{MaxLife: 48 * hour, ReviewWithin: 24 * hour},
			Tariff: &charter.Tariff{Currency: "EUR", PerOpening: 250_00, PerCompartment: 12_50}},
		CaseTypes: []string{"serious-crime", "missing-person"},
		Policy:    "log and witnesses stand here",
		Directory: Directory(),
		Beacon:    clock().Beacon(),
	}
}

func (w *World) add(s Shape) {
	o := charter.Office{ID: s.Office, Title: "Office " + s.Office}
	gate := &charter.Node{Threshold: uint8(s.Need)}
	for i := range s.Custodians {
		id := fmt.Sprintf("%s-%d", s.Office, i+1)
		w.Custodians[id], w.Mail[id] = w.signer(id), w.kem(charter.XWing, id+" mail")
		w.tokens[id] = i < s.Token
		o.Custodians = append(o.Custodians, charter.Custodian{ID: id, Key: charter.CustodianKey(public(w.Custodians[id])),
			Mail: w.Mail[id].PublicKey().Bytes()})
		gate.Children = append(gate.Children, &charter.Node{Office: s.Office, Custodian: id})
	}
	for i := range s.Approvers {
		id := fmt.Sprintf("%s-approver-%d", s.Office, i+1)
		w.Approvers[id], w.Mail[id] = w.signer(id), w.kem(charter.XWing, id+" mail")
		o.Approvers = append(o.Approvers, charter.Approver{ID: id, Key: charter.ApproverKey(public(w.Approvers[id])),
			Mail: w.Mail[id].PublicKey().Bytes()})
	}
	for i, k := range s.WebAuthn {
		id := fmt.Sprintf("%s-key-%d", s.Office, i+1)
		w.Mail[id] = w.kem(charter.XWing, id+" mail")
		o.Approvers = append(o.Approvers, charter.Approver{ID: id, WebAuthn: &k, Mail: w.Mail[id].PublicKey().Bytes()})
		w.Charter.RPID, w.Charter.Origins = "writ.example", []string{"https://writ.example"}
	}
	c := w.Charter
	c.Offices = append(c.Offices, o)
	if s.Custodians > 0 {
		c.Structure.Children = append(c.Structure.Children, gate)
	}
	if s.Approve > 0 {
		c.Approval = append(c.Approval, charter.Rule{Office: s.Office, Threshold: uint8(s.Approve)})
		c.Amendment = append(c.Amendment, charter.Rule{Office: s.Office, Threshold: uint8(s.Approve)})
	}
	if s.Privilege > 0 {
		c.Privilege = append(c.Privilege, charter.Rule{Office: s.Office, Threshold: uint8(s.Privilege)})
	}
}

// Key returns a custodian's HPKE private key of one period.
func (w *World) Key(custodian string, period uint32) hpke.PrivateKey {
	return w.kem(w.KEM(custodian), fmt.Sprintf("%s period %d", custodian, period))
}

// KEM returns which KEM a custodian uses.
func (w *World) KEM(custodian string) charter.KEM {
	if w.tokens[custodian] {
		return charter.MLKEM768P256
	}
	return charter.XWing
}

// Statement returns a custodian's signed key statement for one period.
func (w *World) Statement(office, custodian string, period uint32) *charter.KeyStatement {
	k := &charter.KeyStatement{CharterName: w.Charter.Name, Office: office, Custodian: custodian, Period: period,
		KEM: w.KEM(custodian), PublicKey: w.Key(custodian, period).PublicKey().Bytes()}
	k.Sign(w.Custodians[custodian])
	return k
}

// Sign returns a charter signed by every Ed25519 approver of this world.
func (w *World) Sign(c *charter.Charter) *charter.Signed {
	s := &charter.Signed{Charter: c.Encode()}
	for _, o := range w.Charter.Offices {
		for _, a := range o.Approvers {
			if a.WebAuthn == nil {
				s.Sign(o.ID, a.ID, w.Approvers[a.ID])
			}
		}
	}
	return s
}

// Access returns the access structure of the period of [Now]. It panics if the
// charter was changed into an invalid one.
func (w *World) Access() *charter.Access {
	a, err := w.Charter.Access(w.Charter.Period(Now), nil)
	if err != nil {
		panic(err)
	}
	return a
}

func (w *World) derive(what string) []byte {
	h := sha256.Sum256([]byte(w.seed + ": " + what))
	return h[:]
}

func (w *World) signer(what string) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(w.derive(what + " signing"))
}

func (w *World) kem(id charter.KEM, what string) hpke.PrivateKey {
	k, err := hpke.NewKEM(uint16(id))
	if err != nil {
		panic(err)
	}
	key, err := k.NewPrivateKey(w.derive(what))
	if err != nil {
		panic(err)
	}
	return key
}

func public(k ed25519.PrivateKey) []byte { return k.Public().(ed25519.PublicKey) }
