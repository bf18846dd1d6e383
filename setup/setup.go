// Package setup is what lies in the directories of those who run Writ: key
// files, the configuration of each service, and the deployment file that tells
// everybody where the others are.
//
// # Files
//
// A deployment file is JSON and public. It names the services of one deployment
// and what to trust: the witness policy of the ledger and the hash of the first
// version of each charter. Whoever hands it out decides what its readers trust,
// so it should reach them as the charter does: in public.
//
// A key file is JSON with one private key or two, mode 0600; see [KeyFile].
// Custodians keep their keys otherwise, under a passphrase; see package
// custodian.
//
// A service's directory has config.json beside its key and its state.
//
// [Assemble] makes a charter of the public parts that the key holders hand in.
// [World] does all of it at once for a deployment on one machine.
//
// # What it does not do
//
// It starts nothing and checks no signature: services verify what they load.
package setup

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Deployment is the content of a deployment file.
type Deployment struct {
	Name       string            `json:"name"`
	Delivery   string            `json:"delivery"`   // URL
	Ledger     string            `json:"ledger"`     // URL of the notary
	Directory  string            `json:"directory"`  // URL
	Docket     string            `json:"docket"`     // URL
	Custodians map[string]string `json:"custodians"` // "office/custodian" to URL
	Beacon     map[string]string `json:"beacon"`     // operator of the beacon to the URL of its witness
	Charters   []string          `json:"charters"`   // hashes of first versions, hexadecimal
	Policy     string            `json:"policy"`     // witness policy of the ledger, its text
}

// The names of files in a directory.
const (
	ConfigFile     = "config.json"
	DeploymentFile = "deployment.json"
	PolicyFile     = "policy.txt"           // of the ledger
	DirectoryFile  = "directory-policy.txt" // of the directory
)

// LoadDeployment reads a deployment file.
func LoadDeployment(path string) (*Deployment, error) {
	var d Deployment
	if err := load(path, &d); err != nil {
		return nil, err
	}
	return &d, nil
}

// Save writes the deployment file.
func (d *Deployment) Save(path string) error { return save(path, d, 0o644) }

// load reads JSON strictly: an unknown member is an error, so that a misspelt
// setting is never a default in silence.
func load(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("setup: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("setup: %s: malformed: %w", path, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("setup: %s: malformed: something follows the document", path)
	}
	return nil
}

func save(path string, v any, mode fs.FileMode) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("setup: %s: %w", path, err)
	}
	return Write(path, append(b, '\n'), mode)
}

// Write writes a file whole or not at all, and durably.
func Write(path string, b []byte, mode fs.FileMode) error { return write(path, b, mode, os.Rename) }

// WriteNew is [Write] for a file that must not be there yet, such as a key: what is there
// stays, whoever put it there meanwhile.
func WriteNew(path string, b []byte, mode fs.FileMode) error {
	err := write(path, b, mode, os.Link)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("setup: refused: %s is there already", path)
	}
	return err
}

// write writes a file beside path, which place then puts there in one step.
func write(path string, b []byte, mode fs.FileMode, place func(from, to string) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		err = p.Err // its path is one that nobody named
	}
	if err != nil {
		return fmt.Errorf("setup: write %s: %w", path, err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = place(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("setup: %s: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("setup: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}
