package setup

import (
	"cmp"
	"crypto/ed25519"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"writ/charter"
	"writ/custodian"
	"writ/warrant"
)

// Part is the public half of what a key holder made: what a charter says of it.
// Key holders hand it to whoever drafts the charter, as a file NAME.public.json.
type Part struct {
	Role       Role     `json:"role"` // approver, docket, delivery, directory, person, or custodian
	Office     string   `json:"office,omitempty"`
	Name       string   `json:"name"`
	Key        []byte   `json:"key"`                  // Ed25519 public key; of a directory its label key
	Mail       []byte   `json:"mail_key,omitempty"`   // X-Wing public key
	Statements [][]byte `json:"statements,omitempty"` // of a custodian: [charter.KeyStatement]s
}

// RoleCustodian is the role of a custodian's part. Its private keys are no
// [KeyFile].
const RoleCustodian Role = "custodian"

// Save writes the part to a file.
func (p *Part) Save(path string) error { return save(path, p, 0o644) }

// LoadParts reads all files NAME.public.json of a directory.
func LoadParts(dir string) ([]*Part, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.public.json"))
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("setup: no file *.public.json in %s", dir)
	}
	return LoadPartFiles(names)
}

// LoadPartFiles reads parts from files.
func LoadPartFiles(names []string) ([]*Part, error) {
	var parts []*Part
	for _, name := range names {
		p, err := LoadPart(name)
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	return parts, nil
}

// LoadPart reads one file NAME.public.json.
func LoadPart(path string) (*Part, error) {
	p := new(Part)
	if err := load(path, p); err != nil {
		return nil, err
	}
	return p, nil
}

// UsualLimits are limits to begin a draft with.
func UsualLimits() charter.Limits {
	const hour, day = 3600, 24 * 3600
	return charter.Limits{
		MaxEpochAge: day, MaxWindow: 30 * day, MaxWarrantLife: 30 * day,
		CapSubjects: 10, CapPeriod: 30 * day,
		MaxNoticeDelay: 90 * day,
		KeyPeriod:      30 * day, Horizon: 180 * day,
		ActivationDelay: 14 * day, Freshness: 600, MaxHold: 366 * day,
		Urgent: &charter.Urgent{MaxLife: 48 * hour, ReviewWithin: 72 * hour},
		Tariff: &charter.Tariff{Currency: "EUR", PerOpening: 250_00, PerCompartment: 12_50},
	}
}

// Assemble fills the offices, services, keys and rules of a charter with parts.
// What it decides is the plain case, to be edited before anyone signs: an
// access structure of all offices that have custodians, each of which can spare
// one if it has several; one approver of each office that has any, for warrants
// and for amendments.
func Assemble(c *charter.Charter, parts []*Part) error {
	offices := map[string]*charter.Office{}
	for _, p := range parts {
		if err := place(c, offices, p); err != nil {
			return err
		}
	}
	gate := &charter.Node{}
	for _, id := range slices.Sorted(maps.Keys(offices)) {
		o := offices[id]
		sortPeople(o)
		c.Offices = append(c.Offices, *o)
		if len(o.Custodians) > 0 {
			gate.Children = append(gate.Children, allButOne(o))
		}
		if len(o.Approvers) > 0 {
			c.Approval = append(c.Approval, charter.Rule{Office: id, Threshold: 1})
			c.Amendment = append(c.Amendment, charter.Rule{Office: id, Threshold: 1})
		}
	}
	gate.Threshold = uint8(len(gate.Children))
	c.Structure = gate
	return nil
}

func place(c *charter.Charter, offices map[string]*charter.Office, p *Part) error {
	if len(p.Key) != len(charter.DocketKey{}) {
		return fmt.Errorf("setup: %s %q: malformed: key of %d bytes", p.Role, p.Name, len(p.Key))
	}
	switch p.Role {
	case RoleDocket:
		c.Docket = charter.DocketKey(p.Key)
		return nil
	case RoleDelivery:
		c.Delivery = charter.DeliveryKey(p.Key)
		return nil
	case RoleDirectory:
		c.Directory.VRF = [32]byte(p.Key)
		return nil
	}
	o := offices[p.Office]
	if o == nil {
		o = &charter.Office{ID: p.Office, Title: title(p.Office)}
		offices[p.Office] = o
	}
	switch p.Role {
	case RoleApprover:
		o.Approvers = append(o.Approvers, charter.Approver{ID: p.Name, Key: charter.ApproverKey(p.Key), Mail: p.Mail})
	case RoleCustodian:
		o.Custodians = append(o.Custodians, charter.Custodian{ID: p.Name, Key: charter.CustodianKey(p.Key), Mail: p.Mail})
		return placeKeys(c, p)
	default:
		return fmt.Errorf("setup: unsupported: a charter has no place for role %q", p.Role)
	}
	return nil
}

func placeKeys(c *charter.Charter, p *Part) error {
	for _, b := range p.Statements {
		s, err := charter.ParseKeyStatement(b)
		if err != nil {
			return err
		}
		c.Keys = append(c.Keys, s)
	}
	return nil
}

func title(office string) string { return "the " + office + " office" }

func sortPeople(o *charter.Office) {
	slices.SortFunc(o.Approvers, func(a, b charter.Approver) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(o.Custodians, func(a, b charter.Custodian) int { return cmp.Compare(a.ID, b.ID) })
}

// allButOne is the gate of an office that can spare one of its custodians.
func allButOne(o *charter.Office) *charter.Node {
	g := &charter.Node{Threshold: uint8(max(1, len(o.Custodians)-1))}
	for _, cu := range o.Custodians {
		g.Children = append(g.Children, &charter.Node{Office: o.ID, Custodian: cu.ID})
	}
	return g
}

// Public returns what the outside may know of a key file.
func (k *KeyFile) Public() (*Part, error) {
	if k.Role == RoleDirectory {
		labels, err := k.Labels()
		if err != nil {
			return nil, err
		}
		return &Part{Role: k.Role, Name: k.Name, Key: labels.Public().Bytes()}, nil
	}
	private, err := k.SigningKey()
	if err != nil {
		return nil, err
	}
	p := &Part{Role: k.Role, Office: k.Office, Name: k.Name, Key: private.Public().(ed25519.PublicKey)}
	if len(k.Mail) == 0 {
		return p, nil
	}
	mail, err := warrant.ParseMailKey(k.Mail)
	if err != nil {
		return nil, err
	}
	p.Mail = mail.Public()
	return p, nil
}

// NewCustodian makes a custodian's keys in a directory, for this key period and
// the next, and writes its public part beside them as NAME.public.json.
func NewCustodian(dir string, passphrase []byte, work int, n custodian.Names, keyPeriod time.Duration) (*Part, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("setup: %w", err)
	}
	period := uint32(time.Now().Unix() / int64(keyPeriod/time.Second))
	public, err := custodian.CreateKeys(dir, passphrase, work, n, charter.XWing, period, period+1)
	if err != nil {
		return nil, err
	}
	c := &public.Custodian
	p := &Part{Role: RoleCustodian, Office: n.Office, Name: c.ID, Key: c.Key[:], Mail: c.Mail}
	for _, s := range public.Statements {
		p.Statements = append(p.Statements, s.Encode())
	}
	return p, p.Save(filepath.Join(dir, n.Custodian+".public.json"))
}
