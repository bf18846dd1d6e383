package setup

import (
	"cmp"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"writ/charter"
	"writ/custodian"
	"writ/notice/beacon"
	"writ/operator"
	"writ/witness"
)

// WorldOptions say what a world on one machine is like.
type WorldOptions struct {
	Cap          uint32        // warrants a day; 0: 5
	EpochAge     time.Duration // longest age of an epoch; 0: a day
	Freshness    time.Duration // oldest checkpoint that counts; 0: a minute
	BeaconPeriod time.Duration // between rounds of the beacon; 0: a second
	WorkFactor   int           // of the custodians' key files; 0: as custodian.CreateKeys
}

// World is a whole deployment in one directory: a subdirectory for each
// institution, with its keys and its configuration, and the signed charter.
// It is for trying things out: whoever holds the directory holds all keys.
//
//	DIR/deployment.json  where everything is, and what to trust
//	DIR/policy.txt       the witness policy of the ledger
//	DIR/directory-policy.txt  and of the directory
//	DIR/charter.json     the law, to read
//	DIR/charter.signed   the law, signed by its approvers
//	DIR/notary  DIR/directory  DIR/delivery  DIR/docket  DIR/witness/NAME
//	DIR/beacon           the ceremony in which the witnesses made the beacon's key
//	DIR/custodian/NAME   with its passphrase in the file "passphrase", as in DIR/witness/NAME
//	DIR/keys             of approvers, and of the one person who reads, inspector-1
//	DIR/agency           of the one agency, with its reader's key
type World struct {
	Dir        string
	Deployment *Deployment
	Signed     *charter.Signed
}

// worldOffices are the offices of a world: three that hold keys, and one that must
// approve too where a privileged conversation is opened. An office that can spare
// one custodian needs all but one.
var worldOffices = []struct {
	id, title  string
	custodians int
	approvers  []string
}{
	{"judicial", "the court", 3, []string{"judge-1", "judge-2"}},
	{"oversight", "the oversight commission", 2, []string{"commissioner-1", "commissioner-2"}},
	{"publication", "the publishers", 2, nil},
	{worldPrivilege, "the bar association", 0, []string{"counsel-1", "counsel-2"}},
}

// worldPrivilege is the office of the charter's privilege rule, and of no other.
const worldPrivilege = "bar"

var worldWitnesses = []string{"university", "newspaper", "bar"}

const (
	worldLaw = "Localnet Communications Act"
	worldLog = "localnet.example/ledger"
	worldDir = "localnet.example/directory"

	worldReader = "inspector-1"
	keyPeriod   = 30 * 24 * time.Hour // as UsualLimits has it
)

// BuildWorld makes a world in a directory that must not hold one yet.
func BuildWorld(dir string, o WorldOptions) (*World, error) {
	if _, err := os.Lstat(filepath.Join(dir, DeploymentFile)); err == nil {
		return nil, fmt.Errorf("setup: refused: there is a world in %s already", dir)
	}
	o.Freshness = cmp.Or(o.Freshness, time.Minute)
	o.BeaconPeriod = cmp.Or(o.BeaconPeriod, time.Second)
	b := &builder{dir: dir, options: o}
	for _, step := range []func() error{
		b.makeDirs, b.makeLogs, b.makeBeacon, b.makeServices, b.makeApprovers, b.makeCustodians, b.makeCharter, b.configure,
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return &World{Dir: dir, Deployment: &b.deployment, Signed: b.signed}, nil
}

// OpenWorld reads a world that [BuildWorld] made.
func OpenWorld(dir string) (*World, error) {
	d, err := LoadDeployment(filepath.Join(dir, DeploymentFile))
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(dir, "charter.signed"))
	if err != nil {
		return nil, fmt.Errorf("setup: %w", err)
	}
	s, err := charter.ParseSigned(b)
	if err != nil {
		return nil, err
	}
	return &World{Dir: dir, Deployment: d, Signed: s}, nil
}

// builder gathers what the steps of a world's making hand on.
type builder struct {
	dir        string
	options    WorldOptions
	parts      []*Part
	approvers  []*KeyFile
	agency     ed25519.PublicKey
	logs       []string // vkeys of ledger and directory
	policies   []string // and their witness policies
	group      *beacon.Group
	signed     *charter.Signed
	deployment Deployment
}

func (b *builder) path(parts ...string) string {
	return filepath.Join(append([]string{b.dir}, parts...)...)
}

func (b *builder) makeDirs() error {
	dirs := []string{"notary", "directory", "delivery", "docket", "keys", filepath.Join("agency", "readers")}
	for _, w := range worldWitnesses {
		dirs = append(dirs, filepath.Join("witness", w))
	}
	for _, d := range dirs {
		if err := os.MkdirAll(b.path(d), 0o700); err != nil {
			return fmt.Errorf("setup: %w", err)
		}
	}
	return nil
}

// makeKey makes a key file and takes its public part for the charter.
func (b *builder) makeKey(role Role, office, name, path string) (*KeyFile, error) {
	k, err := NewKeyFile(role, office, name)
	if err != nil {
		return nil, err
	}
	return k, k.Save(path)
}

// makeLogs makes the keys of ledger and directory, and of the witnesses that
// watch over both.
func (b *builder) makeLogs() error {
	var watch []string
	for _, name := range worldWitnesses {
		k, err := b.makeKey(RoleWitness, "", "localnet.example/"+name, b.path("witness", name, "witness.key"))
		if err != nil {
			return err
		}
		w, err := witness.ParseKey(k.Note)
		if err != nil {
			return err
		}
		watch = append(watch, "witness "+name+" "+w.VKey())
	}
	watch = append(watch, "group most 2 "+strings.Join(worldWitnesses, " "), "quorum most", "")
	ledger, err := b.makeKey(RoleNotary, "", worldLog, b.path("notary", "notary.key"))
	if err != nil {
		return err
	}
	directory, err := b.makeKey(RoleDirectory, "", worldDir, b.path("directory", "directory.key"))
	if err != nil {
		return err
	}
	if err := errors.Join(b.takePart(directory), b.makePolicy(ledger, PolicyFile, watch)); err != nil {
		return err
	}
	return b.makePolicy(directory, DirectoryFile, watch)
}

// makePolicy writes the witness policy of the log with that key.
func (b *builder) makePolicy(k *KeyFile, file string, watch []string) error {
	vkey, err := k.LogVKey()
	if err != nil {
		return err
	}
	policy := "log " + vkey + "\n" + strings.Join(watch, "\n")
	b.logs, b.policies = append(b.logs, vkey), append(b.policies, policy)
	return Write(b.path(file), []byte(policy), 0o644)
}

// makeBeacon holds the ceremony of the witnesses in one go.
func (b *builder) makeBeacon() error {
	c := &beacon.Ceremony{Genesis: uint64(time.Now().Unix()), Period: uint64(b.options.BeaconPeriod / time.Second),
		Threshold: uint8(len(worldWitnesses)/2 + 1)}
	rand.Read(c.Nonce[:])
	var operators []*operator.Keys
	for _, name := range worldWitnesses {
		k, err := b.makeOperator(b.path("witness", name), name)
		if err != nil {
			return err
		}
		defer k.Erase()
		operators = append(operators, k)
		c.Members = append(c.Members, *k.Member())
	}
	slices.SortFunc(c.Members, func(x, y beacon.Member) int { return cmp.Compare(x.Name, y.Name) })
	board, err := operator.CreateBoard(b.path("beacon"), c, nil)
	if err != nil {
		return err
	}
	b.group, err = operator.HoldCeremony(board, operators)
	return err
}

func (b *builder) makeOperator(dir, name string) (*operator.Keys, error) {
	phrase := []byte(rand.Text())
	if err := WriteNew(filepath.Join(dir, "passphrase"), append(phrase, '\n'), 0o600); err != nil {
		return nil, err
	}
	if _, err := operator.CreateKeys(dir, phrase, b.options.WorkFactor, name); err != nil {
		return nil, err
	}
	return operator.OpenKeys(dir, phrase, b.options.WorkFactor)
}

func (b *builder) makeServices() error {
	for _, role := range []Role{RoleDocket, RoleDelivery} {
		k, err := b.makeKey(role, "", string(role), b.path(string(role), string(role)+".key"))
		if err != nil {
			return err
		}
		if err := b.takePart(k); err != nil {
			return err
		}
	}
	if _, err := b.makeKey(RoleReader, "", "reader", b.path("agency", "reader.key")); err != nil {
		return err
	}
	if err := b.makeReader(); err != nil {
		return err
	}
	k, err := b.makeKey(RoleAgency, "", "agency", b.path("agency", "agency.key"))
	if err != nil {
		return err
	}
	private, err := k.SigningKey()
	if err != nil {
		return err
	}
	b.agency = private.Public().(ed25519.PublicKey)
	return nil
}

// makeReader makes the one person who may read what the agency opens.
func (b *builder) makeReader() error {
	k, err := b.makeKey(RolePerson, "", worldReader, b.path("keys", worldReader+".key"))
	if err != nil {
		return err
	}
	p, err := k.Public()
	if err != nil {
		return err
	}
	return p.Save(b.path("agency", "readers", worldReader+".public.json"))
}

func (b *builder) takePart(k *KeyFile) error {
	p, err := k.Public()
	if err != nil {
		return err
	}
	b.parts = append(b.parts, p)
	return nil
}

func (b *builder) makeApprovers() error {
	for _, o := range worldOffices {
		for _, name := range o.approvers {
			k, err := b.makeKey(RoleApprover, o.id, name, b.path("keys", name+".key"))
			if err != nil {
				return err
			}
			if err := b.takePart(k); err != nil {
				return err
			}
			b.approvers = append(b.approvers, k)
		}
	}
	return nil
}

func (b *builder) makeCustodians() error {
	for _, o := range worldOffices {
		for i := range o.custodians {
			name := fmt.Sprintf("%s-%d", o.id, i+1)
			n := custodian.Names{Charter: worldLaw, Office: o.id, Custodian: name}
			part, err := b.makeCustodian(b.path("custodian", name), n)
			if err != nil {
				return err
			}
			b.parts = append(b.parts, part)
		}
	}
	return nil
}

func (b *builder) makeCustodian(dir string, n custodian.Names) (*Part, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("setup: %w", err)
	}
	phrase := []byte(rand.Text())
	if err := WriteNew(filepath.Join(dir, "passphrase"), append(phrase, '\n'), 0o600); err != nil {
		return nil, err
	}
	return NewCustodian(dir, phrase, b.options.WorkFactor, n, keyPeriod)
}

func (b *builder) makeCharter() error {
	c := b.law()
	if err := Assemble(c, b.parts); err != nil {
		return err
	}
	c.Privilege = charter.Rules{{Office: worldPrivilege, Threshold: 1}}
	isBar := func(r charter.Rule) bool { return r.Office == worldPrivilege }
	c.Approval, c.Amendment = slices.DeleteFunc(c.Approval, isBar), slices.DeleteFunc(c.Amendment, isBar)
	for i := range c.Offices {
		for _, o := range worldOffices {
			if c.Offices[i].ID == o.id {
				c.Offices[i].Title = o.title
			}
		}
	}
	if err := c.Validate(); err != nil {
		return err
	}
	b.signed = &charter.Signed{Charter: c.Encode()}
	for _, k := range b.approvers {
		private, err := k.SigningKey()
		if err != nil {
			return err
		}
		b.signed.Sign(k.Office, k.Name, private)
	}
	if err := Write(b.path("charter.json"), c.JSON(), 0o644); err != nil {
		return err
	}
	return Write(b.path("charter.signed"), b.signed.Encode(), 0o644)
}

// law is the charter of a world without the people in it.
func (b *builder) law() *charter.Charter {
	c := &charter.Charter{
		Name: worldLaw, Jurisdiction: "Localnet", LegalBasis: "Localnet Communications Act, section 1",
		Language: "en", Number: 1, Review: uint64(time.Now().AddDate(1, 0, 0).Unix()), Mode: charter.AccountableAccess,
		CaseTypes: []string{"serious-crime", "missing-person"}, Policy: b.policies[0], Beacon: b.group.Beacon(), Limits: UsualLimits(),
		Directory: charter.Directory{Policy: b.policies[1]},
	}
	const day = 24 * 3600
	c.Limits.CapSubjects, c.Limits.CapPeriod = 5, day
	c.Limits.ActivationDelay, c.Limits.Freshness = 1, uint64(b.options.Freshness/time.Second)
	if b.options.Cap > 0 {
		c.Limits.CapSubjects = b.options.Cap
	}
	if b.options.EpochAge > 0 {
		c.Limits.MaxEpochAge = uint64(b.options.EpochAge / time.Second)
	}
	return c
}

// configure gives every service an address and a configuration.
func (b *builder) configure() error {
	ports, err := freePorts(5 + len(worldWitnesses) + len(b.parts))
	if err != nil {
		return err
	}
	next := func() string { p := ports[0]; ports = ports[1:]; return p }
	first := []string{b.signed.Hash().String()}
	b.deployment = Deployment{Name: "localnet", Custodians: map[string]string{}, Beacon: map[string]string{}, Charters: first, Policy: b.policies[0]}

	notary := &Notary{Listen: next(), Policy: b.policies[0], Witnesses: map[string]string{}, Charters: first,
		Interval: Duration(200 * time.Millisecond), Republish: Duration(b.options.Freshness / 12)}
	for _, name := range worldWitnesses {
		w := &Witness{Listen: next(), Logs: b.logs, Deployment: "../../" + DeploymentFile, WorkFactor: b.options.WorkFactor, Poll: Duration(time.Second)}
		notary.Witnesses[name], b.deployment.Beacon[name] = url(w.Listen), url(w.Listen)
		if err := SaveConfig(b.path("witness", name), w); err != nil {
			return err
		}
	}
	directory := &Directory{Listen: next(), Policy: b.policies[1], Witnesses: notary.Witnesses, Interval: notary.Interval, Republish: notary.Republish}
	delivery := &Delivery{Listen: next(), Deployment: "../" + DeploymentFile, Poll: Duration(time.Second)}
	docket := &Docket{Listen: next(), Deployment: "../" + DeploymentFile, Poll: Duration(time.Second),
		Agencies: map[string][]byte{"agency": b.agency}, Freshness: Duration(b.options.Freshness)}
	b.deployment.Ledger, b.deployment.Directory = url(notary.Listen), url(directory.Listen)
	b.deployment.Delivery, b.deployment.Docket = url(delivery.Listen), url(docket.Listen)
	for _, p := range b.parts {
		if p.Role != RoleCustodian {
			continue
		}
		c := &Custodian{Listen: next(), Deployment: "../../" + DeploymentFile, WorkFactor: b.options.WorkFactor,
			Poll: Duration(time.Second), Freshness: Duration(b.options.Freshness)}
		b.deployment.Custodians[p.Office+"/"+p.Name] = url(c.Listen)
		if err := SaveConfig(b.path("custodian", p.Name), c); err != nil {
			return err
		}
	}
	for _, err := range []error{SaveConfig(b.path("notary"), notary), SaveConfig(b.path("directory"), directory),
		SaveConfig(b.path("delivery"), delivery), SaveConfig(b.path("docket"), docket)} {
		if err != nil {
			return err
		}
	}
	if err := b.deployment.Save(b.path("agency", DeploymentFile)); err != nil {
		return err
	}
	return b.deployment.Save(b.path(DeploymentFile))
}

func url(listen string) string { return "http://" + listen }

// freePorts finds loopback addresses that nobody listens on now, one after the
// other, so that two worlds seldom choose the same before they start. They are
// below the ports that systems lend to outgoing connections, so that a service
// that was killed finds its own again.
func freePorts(n int) ([]string, error) {
	const first, last = 20000, 32000
	var err error
	for range 100 {
		var found []string
		if found, err = portsFrom(first+n*mathrand.IntN((last-first)/n), n); err == nil {
			return found, nil
		}
	}
	return nil, fmt.Errorf("setup: no free ports: %w", err)
}

func portsFrom(first, n int) (found []string, err error) {
	for port := first; port < first+n; port++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return nil, err
		}
		defer l.Close() // all are held until all are found
		found = append(found, l.Addr().String())
	}
	return found, nil
}

// Services returns the subdirectories of the services in the order in which
// they start: those in one list at once.
func (w *World) Services() (ledger, rest []string, err error) {
	for _, name := range worldWitnesses {
		ledger = append(ledger, filepath.Join("witness", name))
	}
	rest = []string{"directory", "delivery", "docket"}
	for who := range w.Deployment.Custodians {
		_, name, ok := strings.Cut(who, "/")
		if !ok {
			return nil, nil, fmt.Errorf("setup: malformed: custodian %q", who)
		}
		rest = append(rest, filepath.Join("custodian", name))
	}
	slices.Sort(rest[3:])
	return append(ledger, "notary"), rest, nil
}
