package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"writ/api"
	"writ/charter"
	"writ/examine"
	"writ/replica"
	"writ/setup"
	"writ/warrant"
)

// agency is a requesting authority's directory.
//
//	DIR/deployment.json  which deployment it deals with
//	DIR/agency.key       signs what it lodges
//	DIR/reader.key       opens what custodians release
//	DIR/cases/NAME.json  warrants with what only their owner knows
//	DIR/ledger.db        its copy of the ledger
type agency struct {
	dir        string
	deployment *setup.Deployment
	trust      *trust
	agency     *examine.Agency
	reader     *examine.ReaderKey
}

// agencyFlag adds --agency to a command.
func agencyFlag(cmd *cobra.Command) *string {
	dir := os.Getenv("WRIT_AGENCY")
	if dir == "" {
		dir = "."
	}
	return cmd.Flags().String("agency", dir, "the agency's directory; the default is WRIT_AGENCY, else here")
}

func openAgency(dir string) (*agency, error) {
	const hint = "--agency names a directory with deployment.json, agency.key and reader.key (writ keygen agency, writ keygen reader)"
	d, err := setup.LoadDeployment(filepath.Join(dir, setup.DeploymentFile))
	if err != nil {
		return nil, fail(codeFailed, err, hint)
	}
	t, err := trustOf(d)
	if err != nil {
		return nil, err
	}
	key, err := setup.LoadKeyFile(filepath.Join(dir, "agency.key"), setup.RoleAgency)
	if err != nil {
		return nil, fail(codeFailed, err, hint)
	}
	signing, err := key.SigningKey()
	if err != nil {
		return nil, err
	}
	file, err := setup.LoadKeyFile(filepath.Join(dir, "reader.key"), setup.RoleReader)
	if err != nil {
		return nil, fail(codeFailed, err, hint)
	}
	reader, err := examine.ParseReaderKey(file.Reader)
	if err != nil {
		return nil, err
	}
	docket := api.NewDocketClient(http.DefaultClient, d.Docket, maxAnswer)
	return &agency{dir: dir, deployment: d, trust: t, reader: reader,
		agency: &examine.Agency{Name: key.Name, Key: examine.AgencyKey(signing), Docket: docket}}, nil
}

// law returns the charter on the ledger with a hash.
func (a *agency) law(cmd *cobra.Command, h charter.Hash) (*charter.Charter, error) {
	copy, err := a.ledger(cmd)
	if err != nil {
		return nil, err
	}
	defer copy.Close()
	c, ok := laws{copy}.Charter(h)
	if !ok {
		return nil, noCharter(h)
	}
	return c, nil
}

func noCharter(h charter.Hash) error {
	return fail(codeRefused, fmt.Errorf("charter %s is not on the ledger", h), "writ warrant template names the charter in force")
}

// ledger opens the agency's copy of the ledger and reads it up to now.
func (a *agency) ledger(cmd *cobra.Command) (*replica.Replica, error) {
	copy, err := replica.Open(cmd.Context(), replica.Config{Path: filepath.Join(a.dir, "ledger.db"), URL: a.deployment.Ledger,
		Policy: a.trust.policy, Charters: a.trust.firsts, MaxAge: ledgerAge, Fatal: endProcess})
	if err != nil {
		return nil, err
	}
	if err := copy.Refresh(cmd.Context()); err != nil {
		return nil, errors.Join(fail(codeUnavailable, err, "is the notary running?"), copy.Close())
	}
	return copy, nil
}

// examiner is whom an opening of a case talks to, with the agency's copy of the ledger
// read up to now, which the caller closes.
func (a *agency) examiner(cmd *cobra.Command, c *examine.Case) (examine.Config, error) {
	config := examine.Config{Agency: a.agency, Delivery: api.NewDeliveryClient(http.DefaultClient, a.deployment.Delivery, maxAnswer),
		Directory: api.NewDirectoryClient(http.DefaultClient, a.deployment.Directory, maxAnswer), Custodians: a.custodians()}
	var err error
	if config.Ledger, err = a.ledger(cmd); err != nil {
		return config, err
	}
	law, ok := laws{config.Ledger}.Charter(c.Warrant.Charter)
	if !ok {
		return config, errors.Join(noCharter(c.Warrant.Charter), config.Ledger.Close())
	}
	config.MaxAge = time.Duration(law.Limits.Freshness) * time.Second
	return config, nil
}

// custodians are those of the deployment, by "office/custodian".
func (a *agency) custodians() map[string]api.CustodianClient {
	clients := map[string]api.CustodianClient{}
	for who, url := range a.deployment.Custodians {
		clients[who] = api.NewCustodianClient(http.DefaultClient, url, maxAnswer)
	}
	return clients
}

// caseFile is how a case is kept.
type caseFile struct {
	Warrant    []byte `json:"warrant"` // warrant.Warrant.Encode
	Salt       []byte `json:"salt"`
	NoticeSalt []byte `json:"notice_salt"`
	Renewed    []byte `json:"renewed,omitempty"` // warrant.Salted of what it renews
}

func (a *agency) casePath(name string) string { return filepath.Join(a.dir, "cases", name+".json") }

// saveCase keeps a case, before anything of it leaves.
func (a *agency) saveCase(name string, c *examine.Case) error {
	if err := os.MkdirAll(filepath.Join(a.dir, "cases"), 0o700); err != nil {
		return err
	}
	b, err := json.MarshalIndent(caseFile{c.Warrant.Encode(), c.Salt[:], c.NoticeSalt[:], c.Renewed}, "", "  ")
	if err != nil {
		return err
	}
	return setup.WriteNew(a.casePath(name), append(b, '\n'), 0o600)
}

// dropCase removes a case that was never lodged.
func (a *agency) dropCase(name string) error { return os.Remove(a.casePath(name)) }

// loadCase reads a case back.
func (a *agency) loadCase(name string) (*examine.Case, error) {
	b, err := os.ReadFile(a.casePath(name))
	if err != nil {
		return nil, fail(codeFailed, err, "writ warrant draft makes a case; the files in "+filepath.Join(a.dir, "cases")+" are its names")
	}
	var f caseFile
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("case %s: malformed: %w", name, err)
	}
	w, err := warrant.Parse(f.Warrant)
	if err != nil {
		return nil, err
	}
	if len(f.Salt) != 32 || len(f.NoticeSalt) != 32 {
		return nil, fmt.Errorf("case %s: malformed: salts of %d and %d bytes", name, len(f.Salt), len(f.NoticeSalt))
	}
	return &examine.Case{Warrant: w, Salt: [32]byte(f.Salt), NoticeSalt: [32]byte(f.NoticeSalt), Reader: a.reader, Renewed: f.Renewed}, nil
}

// openCase opens an agency with one of its cases.
func openCase(dir, name string) (*agency, *examine.Case, error) {
	a, err := openAgency(dir)
	if err != nil {
		return nil, nil, err
	}
	c, err := a.loadCase(name)
	return a, c, err
}

// inForce returns the charter in force that a hash names, or the only one.
func (a *agency) inForce(cmd *cobra.Command, hash string) (c *charter.Charter, err error) {
	copy, err := a.ledger(cmd)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, copy.Close()) }()
	return laws{copy}.choose(hash, time.Now())
}
