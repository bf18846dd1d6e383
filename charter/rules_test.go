package charter_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"writ/charter"
	"writ/charter/chartertest"
)

// clone returns an independent copy of a valid charter.
func clone(t testing.TB, c *charter.Charter) *charter.Charter {
	t.Helper()
	copied, err := charter.Parse(c.Encode())
	if err != nil {
		t.Fatal(err)
	}
	return copied
}

// none is a valid charter without exceptional access.
func none() *charter.Charter {
	return &charter.Charter{Name: "Plain", Jurisdiction: "Testland", LegalBasis: "none", Language: "en", Number: 1,
		Policy: "log and witnesses stand here", Directory: chartertest.Directory()}
}

// basePoint is the P-256 base point, uncompressed.
const basePoint = "\x04\x6b\x17\xd1\xf2\xe1\x2c\x42\x47\xf8\xbc\xe6\xe5\x63\xa4\x40\xf2\x77\x03\x7d\x81\x2d\xeb\x33\xa0\xf4\xa1\x39\x45\xd8\x98\xc2\x96" +
	"\x4f\xe3\x42\xe2\xfe\x1a\x7f\x9b\x8e\xe7\xeb\x4a\x7c\x0f\x9e\x16\x2b\xce\x33\x57\x6b\x31\x5e\xce\xcb\xb6\x40\x68\x37\xbf\x51\xf5"

// passkey makes the first judge a WebAuthn approver.
func passkey(c *charter.Charter) *charter.WebAuthnKey {
	k := &charter.WebAuthnKey{CredentialID: []byte("credential"), Algorithm: charter.ES256, PublicKey: []byte(basePoint)}
	c.Offices[0].Approvers[0].Key, c.Offices[0].Approvers[0].WebAuthn = charter.ApproverKey{}, k
	c.RPID, c.Origins = "writ.example", []string{"https://writ.example"}
	return k
}

// Each row breaks one rule of a valid charter.
var broken = []struct {
	rule   int
	name   string
	mutate func(w *chartertest.World, c *charter.Charter)
}{
	{1, "blank name", func(_ *chartertest.World, c *charter.Charter) { c.Name = " \n" }},
	{1, "control character", func(_ *chartertest.World, c *charter.Charter) { c.Jurisdiction = "a\x1b[2J" }},
	{1, "reversed text", func(_ *chartertest.World, c *charter.Charter) { c.LegalBasis = "\u202eabc" }},
	{1, "long language", func(_ *chartertest.World, c *charter.Charter) { c.Language = strings.Repeat("x", 201) }},
	{1, "not UTF-8", func(_ *chartertest.World, c *charter.Charter) { c.Language = "\xff" }},
	{2, "number 0", func(_ *chartertest.World, c *charter.Charter) { c.Number = 0 }},
	{2, "first with previous", func(_ *chartertest.World, c *charter.Charter) { c.Previous[0] = 1 }},
	{2, "second without previous", func(_ *chartertest.World, c *charter.Charter) { c.Number = 2 }},
	{3, "mode 2", func(_ *chartertest.World, c *charter.Charter) { c.Mode = 2 }},
	{4, "access denied, offices kept", func(_ *chartertest.World, c *charter.Charter) { c.Mode = charter.NoAccess }},
	{4, "structure only", func(_ *chartertest.World, c *charter.Charter) { s := c.Structure; *c = *none(); c.Structure = s }},
	{4, "limits only", func(_ *chartertest.World, c *charter.Charter) { *c = *none(); c.Limits.CapSubjects = 1 }},
	{4, "review only", func(_ *chartertest.World, c *charter.Charter) { *c = *none(); c.Review = 1 }},
	{4, "docket only", func(_ *chartertest.World, c *charter.Charter) { *c = *none(); c.Docket[0] = 1 }},
	{4, "case type only", func(_ *chartertest.World, c *charter.Charter) { *c = *none(); c.CaseTypes = []string{"a"} }},
	{5, "no review date", func(_ *chartertest.World, c *charter.Charter) { c.Review = 0 }},
	{5, "review date that reads as the past", func(_ *chartertest.World, c *charter.Charter) { c.Review = 1 << 63 }},
	{5, "review date of five digits", func(_ *chartertest.World, c *charter.Charter) { c.Review = 253402300800 }},
	{6, "one office", func(_ *chartertest.World, c *charter.Charter) { c.Offices = c.Offices[:1] }},
	{6, "office twice", func(_ *chartertest.World, c *charter.Charter) { c.Offices[1].ID = "judicial" }},
	{6, "office not a name", func(_ *chartertest.World, c *charter.Charter) { c.Offices[2].ID = "The Press" }},
	{6, "blank title", func(_ *chartertest.World, c *charter.Charter) { c.Offices[2].Title = "" }},
	{7, "approver twice", func(_ *chartertest.World, c *charter.Charter) { c.Offices[1].Approvers[0].ID = "judicial-approver-1" }},
	{7, "custodian twice", func(_ *chartertest.World, c *charter.Charter) { c.Offices[1].Custodians[0].ID = "judicial-1" }},
	{7, "custodian not a name", func(_ *chartertest.World, c *charter.Charter) { c.Offices[1].Custodians[0].ID = "" }},
	{8, "zero key", func(_ *chartertest.World, c *charter.Charter) { c.Docket = charter.DocketKey{} }},
	{8, "small order", func(_ *chartertest.World, c *charter.Charter) { c.Delivery = charter.DeliveryKey{0: 1, 31: 0x80} }},
	{8, "not canonical", func(_ *chartertest.World, c *charter.Charter) {
		c.Delivery = charter.DeliveryKey(bytes.Repeat([]byte{0xff}, 32))
	}},
	{8, "not on the curve", func(_ *chartertest.World, c *charter.Charter) { c.Delivery = charter.DeliveryKey{0: 2} }},
	{8, "approver zero", func(_ *chartertest.World, c *charter.Charter) { c.Offices[0].Approvers[0].Key = charter.ApproverKey{} }},
	{8, "custodian zero", func(_ *chartertest.World, c *charter.Charter) {
		c.Offices[0].Custodians[0].Key = charter.CustodianKey{}
	}},
	{8, "short mail key", func(_ *chartertest.World, c *charter.Charter) { c.Offices[0].Custodians[0].Mail = make([]byte, 1215) }},
	{8, "ML-KEM not reduced", func(_ *chartertest.World, c *charter.Charter) {
		copy(c.Offices[0].Custodians[0].Mail, bytes.Repeat([]byte{0xff}, 1184))
	}},
	{8, "X25519 of low order", func(_ *chartertest.World, c *charter.Charter) { clear(c.Offices[0].Approvers[0].Mail[1184:]) }},
	{8, "X25519 not canonical", func(_ *chartertest.World, c *charter.Charter) { c.Offices[0].Approvers[0].Mail[1215] |= 0x80 }},
	{8, "approver with two keys", func(_ *chartertest.World, c *charter.Charter) {
		key := c.Offices[0].Approvers[0].Key
		passkey(c)
		c.Offices[0].Approvers[0].Key = key
	}},
	{8, "WebAuthn algorithm", func(_ *chartertest.World, c *charter.Charter) { passkey(c).Algorithm = -257 }},
	{8, "WebAuthn point", func(_ *chartertest.World, c *charter.Charter) { passkey(c).PublicKey[64] ^= 1 }},
	{8, "WebAuthn Ed25519 of small order", func(_ *chartertest.World, c *charter.Charter) {
		k := passkey(c)
		k.Algorithm, k.PublicKey = charter.EdDSA, make([]byte, 32)
	}},
	{8, "no credential id", func(_ *chartertest.World, c *charter.Charter) { passkey(c).CredentialID = nil }},
	{9, "two approvers", func(_ *chartertest.World, c *charter.Charter) {
		c.Offices[1].Approvers[0].Key = c.Offices[0].Approvers[0].Key
	}},
	{9, "approver is custodian", func(_ *chartertest.World, c *charter.Charter) {
		c.Offices[1].Custodians[0].Key = charter.CustodianKey(c.Offices[0].Approvers[0].Key)
	}},
	{9, "docket is delivery", func(_ *chartertest.World, c *charter.Charter) { c.Delivery = charter.DeliveryKey(c.Docket) }},
	{9, "passkey is custodian", func(_ *chartertest.World, c *charter.Charter) {
		k := passkey(c)
		k.Algorithm, k.PublicKey = charter.EdDSA, slices.Clone(c.Offices[1].Custodians[0].Key[:])
	}},
	{9, "mail keys", func(_ *chartertest.World, c *charter.Charter) {
		c.Offices[1].Custodians[0].Mail = c.Offices[0].Custodians[0].Mail
	}},
	{9, "ML-KEM half", func(_ *chartertest.World, c *charter.Charter) {
		copy(c.Offices[1].Custodians[0].Mail[:1184], c.Offices[0].Custodians[0].Mail)
	}},
	{9, "X25519 half", func(_ *chartertest.World, c *charter.Charter) {
		copy(c.Offices[1].Custodians[0].Mail[1184:], c.Offices[0].Custodians[0].Mail[1184:])
	}},
	{10, "no structure", func(_ *chartertest.World, c *charter.Charter) { c.Structure = nil }},
	{10, "threshold 0", func(_ *chartertest.World, c *charter.Charter) { c.Structure.Children[0].Threshold = 0 }},
	{10, "threshold 4 of 3", func(_ *chartertest.World, c *charter.Charter) { c.Structure.Children[0].Threshold = 4 }},
	{10, "too deep", func(_ *chartertest.World, c *charter.Charter) {
		for range 3 {
			c.Structure = &charter.Node{Threshold: 1, Children: []*charter.Node{c.Structure}}
		}
	}},
	{10, "empty gate", func(_ *chartertest.World, c *charter.Charter) { c.Structure.Children[0].Children = nil }},
	{10, "gate with a custodian", func(_ *chartertest.World, c *charter.Charter) { c.Structure.Office = "judicial" }},
	{10, "65 custodians", func(_ *chartertest.World, c *charter.Charter) {
		l := c.Structure.Children[0]
		l.Children = slices.Repeat(l.Children[:1], 62)
	}},
	{10, "256 children", func(_ *chartertest.World, c *charter.Charter) {
		c.Structure.Children = slices.Repeat(c.Structure.Children, 86)
	}},
	{11, "stranger", func(_ *chartertest.World, c *charter.Charter) {
		c.Structure.Children[0].Children[0].Custodian = "nobody"
	}},
	{11, "of another office", func(_ *chartertest.World, c *charter.Charter) {
		c.Structure.Children[0].Children[0].Office = "oversight"
	}},
	{11, "twice", func(_ *chartertest.World, c *charter.Charter) {
		c.Structure.Children[0].Children[0] = c.Structure.Children[0].Children[1]
	}},
	{12, "any office", func(_ *chartertest.World, c *charter.Charter) { c.Structure.Threshold = 1 }},
	{12, "one office alone", func(_ *chartertest.World, c *charter.Charter) { c.Structure = c.Structure.Children[0] }},
	{12, "one custodian", func(_ *chartertest.World, c *charter.Charter) { c.Structure = c.Structure.Children[0].Children[0] }},
	{13, "one office approves", func(_ *chartertest.World, c *charter.Charter) { c.Approval = c.Approval[:1] }},
	{13, "same office twice", func(_ *chartertest.World, c *charter.Charter) { c.Approval[1].Office = "judicial" }},
	{13, "no such office", func(_ *chartertest.World, c *charter.Charter) { c.Approval[1].Office = "provider" }},
	{13, "threshold 0", func(_ *chartertest.World, c *charter.Charter) { c.Approval[1].Threshold = 0 }},
	{13, "out of reach", func(_ *chartertest.World, c *charter.Charter) { c.Approval[1].Threshold = 3 }},
	{4, "access denied, privilege kept", func(_ *chartertest.World, c *charter.Charter) {
		*c = *none()
		c.Privilege = charter.Rules{{Office: "judicial", Threshold: 1}}
	}},
	{25, "privilege of no office", func(_ *chartertest.World, c *charter.Charter) {
		c.Privilege = charter.Rules{{Office: "bar", Threshold: 1}}
	}},
	{25, "privilege of an office that approves anyway", func(_ *chartertest.World, c *charter.Charter) {
		c.Privilege = charter.Rules{{Office: "judicial", Threshold: 2}}
	}},
	{25, "privilege out of reach", func(_ *chartertest.World, c *charter.Charter) {
		c.Privilege = charter.Rules{{Office: "publication", Threshold: 1}}
	}},
	{25, "privilege of nobody", func(_ *chartertest.World, c *charter.Charter) {
		c.Privilege = charter.Rules{{Office: "publication"}}
	}},
	{14, "one office amends", func(_ *chartertest.World, c *charter.Charter) { c.Amendment = c.Amendment[:1] }},
	{14, "out of reach without passkeys", func(_ *chartertest.World, c *charter.Charter) { passkey(c); c.Amendment[0].Threshold = 2 }},
	{15, "epoch age", func(_ *chartertest.World, c *charter.Charter) { c.Limits.MaxEpochAge = 59 }},
	{15, "window", func(_ *chartertest.World, c *charter.Charter) { c.Limits.MaxWindow = 367 * 86400 }},
	{15, "life", func(_ *chartertest.World, c *charter.Charter) { c.Limits.MaxWarrantLife = 0 }},
	{15, "cap", func(_ *chartertest.World, c *charter.Charter) { c.Limits.CapSubjects = 0 }},
	{15, "cap period", func(_ *chartertest.World, c *charter.Charter) { c.Limits.CapPeriod = 0 }},
	{15, "tariff in small letters", func(_ *chartertest.World, c *charter.Charter) { c.Limits.Tariff.Currency = "eur" }},
	{15, "tariff in no currency", func(_ *chartertest.World, c *charter.Charter) { c.Limits.Tariff.Currency = "" }},
	{15, "tariff of nothing", func(_ *chartertest.World, c *charter.Charter) { c.Limits.Tariff = &charter.Tariff{Currency: "EUR"} }},
	{15, "tariff that overflows", func(_ *chartertest.World, c *charter.Charter) { c.Limits.Tariff.PerOpening = 1 << 62 }},
	{15, "life over too many cap periods", func(_ *chartertest.World, c *charter.Charter) { c.Limits.CapPeriod = c.Limits.MaxWarrantLife/400 - 1 }},
	{15, "notice", func(_ *chartertest.World, c *charter.Charter) { c.Limits.MaxNoticeDelay = 1 << 40 }},
	{15, "key period", func(_ *chartertest.World, c *charter.Charter) { c.Limits.KeyPeriod = 0 }},
	{15, "horizon", func(_ *chartertest.World, c *charter.Charter) { c.Limits.Horizon = 1 << 63 }},
	{15, "activation", func(_ *chartertest.World, c *charter.Charter) { c.Limits.ActivationDelay = 0 }},
	{15, "freshness", func(_ *chartertest.World, c *charter.Charter) { c.Limits.Freshness = 8 * 86400 }},
	{16, "horizon within an epoch", func(_ *chartertest.World, c *charter.Charter) { c.Limits.Horizon = 86399 }},
	{17, "urgent as long as normal", func(_ *chartertest.World, c *charter.Charter) { c.Limits.Urgent.MaxLife = c.Limits.MaxWarrantLife }},
	{17, "never reviewed", func(_ *chartertest.World, c *charter.Charter) { c.Limits.Urgent.ReviewWithin = 0 }},
	{18, "no case types", func(_ *chartertest.World, c *charter.Charter) { c.CaseTypes = nil }},
	{18, "case type twice", func(_ *chartertest.World, c *charter.Charter) { c.CaseTypes[1] = c.CaseTypes[0] }},
	{19, "relying party without passkeys", func(_ *chartertest.World, c *charter.Charter) { c.RPID = "writ.example" }},
	{19, "synced without passkeys", func(_ *chartertest.World, c *charter.Charter) { c.SyncedPasskeys = true }},
	{19, "passkeys without origin", func(_ *chartertest.World, c *charter.Charter) { passkey(c); c.Origins = nil }},
	{19, "passkeys without relying party", func(_ *chartertest.World, c *charter.Charter) { passkey(c); c.RPID = "" }},
	{19, "origin in the clear", func(_ *chartertest.World, c *charter.Charter) { passkey(c); c.Origins[0] = "http://writ.example" }},
	{19, "origin of another in the clear", func(_ *chartertest.World, c *charter.Charter) {
		passkey(c)
		c.Origins[0] = "http://localhost.writ.example"
	}},
	{20, "no policy", func(_ *chartertest.World, c *charter.Charter) { c.Policy = "" }},
	{20, "no policy, no access", func(_ *chartertest.World, c *charter.Charter) { *c = *none(); c.Policy = "" }},
	{21, "no beacon", func(_ *chartertest.World, c *charter.Charter) { c.Beacon = nil }},
	{21, "beacon, no access", func(_ *chartertest.World, c *charter.Charter) { b := c.Beacon; *c = *none(); c.Beacon = b }},
	{22, "signature", func(_ *chartertest.World, c *charter.Charter) { c.Keys[0].Signature[0] ^= 1 }},
	{22, "other charter", func(w *chartertest.World, c *charter.Charter) {
		c.Keys[0].CharterName = "Another"
		c.Keys[0].Sign(w.Custodians[c.Keys[0].Custodian])
	}},
	{22, "other's custodian", func(w *chartertest.World, c *charter.Charter) {
		c.Keys[0].Custodian = "judicial-2"
		c.Keys[0].Sign(w.Custodians["judicial-1"])
	}},
	{22, "unknown KEM", func(w *chartertest.World, c *charter.Charter) {
		c.Keys[0].KEM = 0x0020
		c.Keys[0].Sign(w.Custodians[c.Keys[0].Custodian])
	}},
	{22, "same key in the next period", func(w *chartertest.World, c *charter.Charter) {
		c.Keys[1].PublicKey = c.Keys[0].PublicKey
		c.Keys[1].Sign(w.Custodians[c.Keys[1].Custodian])
	}},
	{22, "key of another custodian", func(w *chartertest.World, c *charter.Charter) {
		c.Keys[2].PublicKey = c.Keys[0].PublicKey
		c.Keys[2].Sign(w.Custodians[c.Keys[2].Custodian])
	}},
	{22, "mail key as period key", func(w *chartertest.World, c *charter.Charter) {
		c.Keys[0].PublicKey = c.Offices[1].Custodians[0].Mail
		c.Keys[0].Sign(w.Custodians[c.Keys[0].Custodian])
	}},
	{22, "two keys for a period", func(w *chartertest.World, c *charter.Charter) {
		c.Keys[1].Period = c.Keys[0].Period
		c.Keys[1].Sign(w.Custodians[c.Keys[1].Custodian])
	}},
	{23, "too large", func(_ *chartertest.World, c *charter.Charter) {
		for i := range 1000 {
			c.CaseTypes = append(c.CaseTypes, fmt.Sprintf("%064d", i))
		}
	}},
	{24, "no directory", func(_ *chartertest.World, c *charter.Charter) { c.Directory = charter.Directory{} }},
	{24, "no label key, no access", func(_ *chartertest.World, c *charter.Charter) { *c = *none(); c.Directory.VRF = [32]byte{} }},
	{24, "no policy of the directory", func(_ *chartertest.World, c *charter.Charter) { c.Directory.Policy = " " }},
}

func TestRules(t *testing.T) {
	w := chartertest.New("rules")
	tested := map[int]bool{}
	for _, row := range broken {
		c := clone(t, w.Charter)
		row.mutate(w, c)
		err := c.Validate()
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("rule %d:", row.rule)) {
			t.Errorf("rule %d, %s: %v", row.rule, row.name, err)
		}
		if !errors.Is(err, charter.ErrInvalid) && !errors.Is(err, charter.ErrUnsupported) {
			t.Errorf("rule %d, %s: error of neither kind: %v", row.rule, row.name, err)
		}
		// What a Go value can hold and the encoding can't say is lost in it.
		if got, err := charter.Parse(c.Encode()); err == nil && reflect.DeepEqual(got, c) || err != nil && got != nil {
			t.Errorf("rule %d, %s: parses", row.rule, row.name)
		}
		tested[row.rule] = true
	}
	for rule := 1; rule <= 25; rule++ {
		if !tested[rule] {
			t.Errorf("rule %d has no test", rule)
		}
	}
}

func TestValidCharters(t *testing.T) {
	withPasskey := clone(t, chartertest.New("passkey").Charter)
	passkey(withPasskey)
	withPasskey.SyncedPasskeys = true
	for name, c := range map[string]*charter.Charter{"none": none(), "passkey": withPasskey,
		"default": chartertest.New("default").Charter, "privilege": chartertest.New("privilege", chartertest.WithBar...).Charter} {
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := charter.Parse(c.Encode()); err != nil || !bytes.Equal(got.Encode(), c.Encode()) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The keys that rule 8 refuses accept signatures that nobody made: R the
// neutral point, S zero, for one message in at most eight.
func TestSmallOrderKeysAcceptForgeries(t *testing.T) {
	forged := make([]byte, ed25519.SignatureSize)
	forged[0] = 1
	accepts := func(key []byte) bool {
		for i := range 200 {
			if ed25519.Verify(key, fmt.Append(nil, i), forged) {
				return true
			}
		}
		return false
	}
	w := chartertest.New("small order")
	for _, y := range charter.SmallOrder {
		c := clone(t, w.Charter)
		copy(c.Docket[:], y)
		if !accepts(c.Docket[:]) {
			t.Errorf("%x: no forgery accepted", y)
		}
		if err := c.Validate(); !errors.Is(err, charter.ErrInvalid) {
			t.Errorf("%x: %v", y, err)
		}
	}
	if accepts(w.Charter.Docket[:]) {
		t.Error("a sound key accepts a forgery")
	}
}
