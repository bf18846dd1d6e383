package examine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"connectrpc.com/connect"

	"writ/api"
	"writ/capsule"
	"writ/charter"
	"writ/directory/keyproof"
)

// directoryAge is how old the directory's checkpoint may be: what a client allows for
// who enters a conversation.
const directoryAge = 10 * time.Minute

// whose asks the law's directory whose the keys are that signed what was opened. An
// account of which it proves nothing is noted: the words are open all the same, and
// asking again later costs no release.
func (x *examiner) whose(ctx context.Context) error {
	x.out.Unproven = map[string]error{}
	devices := x.devices()
	log, away := x.directory()
	size := 0
	for i, account := range slices.Sorted(maps.Keys(devices)) {
		x.Progress(Progress{Stage: "directory", Done: i, Total: len(devices)})
		p, err := (*keyproof.Proof)(nil), away
		if err == nil {
			p, err = x.prover(ctx, log, account, devices[account])
		}
		if err == nil && size+len(p.Encode()) > x.MaxProofs {
			err = fmt.Errorf("examine: refused: the proofs before it have %d bytes already", size)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			x.out.Accounts, size = append(x.out.Accounts, p), size+len(p.Encode())
			continue
		case connect.CodeOf(err) == connect.CodeUnavailable, errors.Is(err, context.DeadlineExceeded):
			away = err // and is not asked about all the others
		}
		x.out.Unproven[account] = err
	}
	return nil
}

// devices returns of which devices something was opened, by account.
func (x *examiner) devices() map[string][]string {
	devices := map[string][]string{}
	for _, c := range x.out.Compartments {
		if parsed, err := capsule.Parse(c.Capsule); err == nil && c.Forged == nil {
			l := parsed.Label()
			devices[l.Account] = append(devices[l.Account], l.Device)
		}
	}
	return devices
}

// directory returns the directory that the law and the versions before it name.
func (x *examiner) directory() (*keyproof.Log, error) {
	if x.Directory == nil {
		return nil, errors.New("examine: no directory is set to be asked")
	}
	var all []charter.Directory
	for _, c := range x.laws {
		all = append(all, c.Directory)
	}
	return keyproof.NewLog(all[0], all[1:]...)
}

// prover asks for one account and verifies the answer. It keeps the dates that the
// devices need.
func (x *examiner) prover(ctx context.Context, log *keyproof.Log, account string, devices []string) (*keyproof.Proof, error) {
	ctx, cancel := context.WithTimeout(ctx, x.Patience)
	defer cancel()
	var out *api.LookUpResponse
	err := again(ctx, func() (err error) {
		out, err = x.Directory.LookUp(ctx, &api.LookUpRequest{Accounts: []string{account}, Dated: true})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("examine: directory: %w", err)
	}
	if len(out.Lookups) != 1 || len(out.Dates) != 1 {
		return nil, fmt.Errorf("examine: invalid: the directory gives %d answers with %d dates for one account", len(out.Lookups), len(out.Dates))
	}
	p := &keyproof.Proof{Account: account, Checkpoint: out.Checkpoint, Lookup: out.Lookups[0]}
	for i, d := range out.Dates[0].Dates {
		if len(d.Before)+len(d.After) > 0 {
			p.Dates = append(p.Dates, keyproof.Date{Version: uint64(i) + 1, Before: d.Before, After: d.After})
		}
	}
	log.Form(p)
	a, err := log.Verify(p, x.Now(), directoryAge)
	if err != nil {
		return nil, fmt.Errorf("examine: %w", err)
	}
	var needed []uint64
	for _, device := range devices {
		needed = append(needed, a.Changes(device)...)
	}
	p.Keep(needed)
	return p, nil
}
