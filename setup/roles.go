package setup

import (
	"fmt"
	"path/filepath"
	"time"
)

// Duration is a length of time that JSON writes as "90s" or "5m".
type Duration time.Duration

// MarshalText writes the form that [time.ParseDuration] reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads the form that [time.ParseDuration] reads.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = Duration(v)
	return err
}

// Notary is config.json of a notary. Its key is notary.key.
type Notary struct {
	Listen    string            `json:"listen"`              // host:port
	Policy    string            `json:"policy"`              // witness policy, its text
	Witnesses map[string]string `json:"witnesses"`           // vkey to URL
	Charters  []string          `json:"charters"`            // hashes of first versions that it admits
	Interval  Duration          `json:"interval"`            // between checkpoints
	Republish Duration          `json:"republish,omitempty"` // how often an unchanged checkpoint is cosigned anew
}

// Directory is config.json of a directory. Its key is directory.key.
type Directory struct {
	Listen    string            `json:"listen"`
	Policy    string            `json:"policy"`    // witness policy of its own log, its text
	Witnesses map[string]string `json:"witnesses"` // by name in the policy, to URL
	Interval  Duration          `json:"interval"`
	Republish Duration          `json:"republish,omitempty"`
}

// Witness is config.json of a witness. Its key is witness.key. One that is an
// operator of the beacon has its secrets in beacon.age, and names a deployment.
type Witness struct {
	Listen     string   `json:"listen"`
	Logs       []string `json:"logs"`                 // vkeys of the logs it cosigns
	Deployment string   `json:"deployment,omitempty"` // path, from the directory: where the ledger and the other operators are
	WorkFactor int      `json:"work_factor,omitempty"`
	Poll       Duration `json:"poll,omitempty"`
}

// Docket is config.json of a docket. Its key is docket.key.
type Docket struct {
	Listen     string            `json:"listen"`
	Deployment string            `json:"deployment"` // path, from the directory
	Agencies   map[string][]byte `json:"agencies"`   // name to Ed25519 public key
	Poll       Duration          `json:"poll,omitempty"`
	Freshness  Duration          `json:"freshness,omitempty"` // oldest checkpoint to work with: the charter's; 0: 10m
}

// Delivery is config.json of a delivery service. Its key is delivery.key.
type Delivery struct {
	Listen     string   `json:"listen"`
	Deployment string   `json:"deployment"`
	Poll       Duration `json:"poll,omitempty"`
}

// Custodian is config.json of a custodian. Its keys are in keys.age.
type Custodian struct {
	Listen     string   `json:"listen"`
	Deployment string   `json:"deployment"`
	WorkFactor int      `json:"work_factor,omitempty"` // of scrypt; 0 takes about a second
	Poll       Duration `json:"poll,omitempty"`
	Freshness  Duration `json:"freshness,omitempty"` // oldest checkpoint to work with: the charter's; 0: 10m
}

// role is the set of configurations, each the content of a config.json.
type role interface {
	Notary | Directory | Witness | Docket | Delivery | Custodian
}

// LoadConfig reads config.json of a service's directory.
func LoadConfig[R role](dir string) (*R, error) {
	var c R
	if err := load(filepath.Join(dir, ConfigFile), &c); err != nil {
		return nil, err
	}
	return &c, nil
}

// SaveConfig writes config.json of a service's directory.
func SaveConfig[R role](dir string, c *R) error {
	return save(filepath.Join(dir, ConfigFile), c, 0o644)
}

// Beside returns the deployment that a configuration in dir names.
func Beside(dir, path string) (*Deployment, error) {
	if path == "" {
		return nil, fmt.Errorf("setup: %s: malformed: no deployment file named", filepath.Join(dir, ConfigFile))
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	return LoadDeployment(path)
}
