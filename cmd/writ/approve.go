package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"writ/api"
	"writ/docket"
	"writ/follower"
	"writ/ledger"
	"writ/replica"
	"writ/setup"
	"writ/warrant"
)

// deploymentFlag adds --deployment to a command.
func deploymentFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("deployment", setup.DeploymentFile, "the deployment file")
}

func docketOf(file string) (api.DocketClient, error) {
	d, err := setup.LoadDeployment(file)
	if err != nil {
		return nil, fail(codeFailed, err, "--deployment names the deployment file")
	}
	return api.NewDocketClient(http.DefaultClient, d.Docket, maxAnswer), nil
}

// listed is what a list shows of a warrant: no more than the docket knows.
type listed struct {
	Number   uint64    `json:"number"`
	Warrant  string    `json:"warrant"`
	Agency   string    `json:"agency"`
	State    string    `json:"state"`
	Offices  []string  `json:"offices_approved"`
	Lodged   time.Time `json:"lodged"`
	Requests uint32    `json:"requests"`
}

func newWarrantList() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list --deployment FILE",
		Short: "List what is lodged at the docket, the newest last",
		Long: `List shows what is lodged at the docket: lodged, approved or published. Of what is
published it reads the ledger, and shows as cancelled, refused (in review) or error
what an office stopped there.`,
		Args: cobra.NoArgs,
	}
	file := deploymentFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		docket, err := docketOf(*file)
		if err != nil {
			return err
		}
		list, err := listWarrants(cmd, docket)
		if err != nil {
			return err
		}
		if err := markStopped(cmd, docket, *file, list); err != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "(what an office stopped is not marked: %s)\n", plain(err))
		}
		return show(cmd, list, func(w io.Writer) {
			if len(list) == 0 {
				fmt.Fprintln(w, "nothing is lodged")
			}
			for _, l := range list {
				fmt.Fprintf(w, "%3d  %.16s  %-9s  by %s  approved by: %s\n", l.Number, l.Warrant, l.State, oneLine(l.Agency),
					cmp.Or(oneLine(strings.Join(l.Offices, ", ")), "nobody yet"))
			}
		})
	}
	return cmd
}

func listWarrants(cmd *cobra.Command, docket api.DocketClient) ([]listed, error) {
	list := []listed{}
	for after := uint64(0); ; {
		r, err := docket.ListWarrants(cmd.Context(), &api.ListWarrantsRequest{After: after})
		if err != nil {
			return nil, callError(err)
		}
		for _, l := range r.Warrants {
			if l.Number <= after {
				return nil, fail(codeInvalid, fmt.Errorf("malformed: the docket lists number %d after %d", l.Number, after), "tell the docket's operator")
			}
			after = l.Number
			list = append(list, listed{l.Number, hex.EncodeToString(l.WarrantHash), l.Agency, stateWord(l.State),
				append([]string{}, l.Offices...), time.Unix(int64(l.Lodged), 0).UTC(), l.Requests})
		}
		if !r.More || len(r.Warrants) == 0 {
			return list, nil
		}
	}
}

// markStopped gives a published warrant the state that the ledger shows, where an office
// stopped it: the docket does not say.
func markStopped(cmd *cobra.Command, docket api.DocketClient, deployment string, list []listed) error {
	published := func(l listed) bool { return l.State == stateWord(api.WarrantState_WARRANT_STATE_PUBLISHED) }
	if !slices.ContainsFunc(list, published) {
		return nil
	}
	entries := map[int]*api.GetWarrantResponse{}
	for i := range list {
		if !published(list[i]) {
			continue
		}
		h, err := hex.DecodeString(list[i].Warrant)
		if err != nil {
			return err
		}
		if entries[i], err = docket.GetWarrant(cmd.Context(), &api.GetWarrantRequest{WarrantHash: h}); err != nil {
			return callError(err)
		}
	}
	return viewLedger(cmd, deployment, func(b *ledger.Book) {
		for i, r := range entries {
			if w, ok := b.Warrant(r.Index); ok && w.Hash == ledger.HashEntry(r.Entry) {
				list[i].State = cmp.Or(stoppedWord(w), list[i].State)
			}
		}
	})
}

func stoppedWord(w *ledger.LoggedWarrant) string {
	switch {
	case w.Error != 0:
		return "error"
	case w.Review == ledger.ReviewRefused:
		return "refused"
	case w.Cancelled:
		return "cancelled"
	}
	return ""
}

// viewLedger calls f with the book of a deployment's ledger, read up to now. A copy in the
// person's cache keeps what was read. Where there is none, or another command uses it, the whole
// ledger is read and nothing kept.
func viewLedger(cmd *cobra.Command, deployment string, f func(*ledger.Book)) (err error) {
	d, err := setup.LoadDeployment(deployment)
	if err != nil {
		return fail(codeFailed, err, "--deployment names the deployment file")
	}
	t, err := trustOf(d)
	if err != nil {
		return err
	}
	path, copy, err := openCached(cmd.Context(), d, t)
	if err != nil {
		book, err := readBook(cmd.Context(), d, t)
		if err == nil {
			f(book)
		}
		return err
	}
	defer func() { err = errors.Join(err, copy.Close()) }()
	switch err := copy.Refresh(cmd.Context()); {
	case errors.Is(err, replica.ErrForked):
		return fail(codeInvalid, err, "the ledger showed two histories; keep "+path+" as evidence and tell an auditor")
	case err != nil:
		return fail(codeUnavailable, err, "is the notary running?")
	}
	copy.View(f)
	return nil
}

// openCached opens the copy of a deployment's ledger in the person's cache, one for each key
// of a log.
func openCached(ctx context.Context, d *setup.Deployment, t *trust) (path string, copy *replica.Replica, err error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", nil, err
	}
	log := sha256.Sum256([]byte(t.policy.LogVKey()))
	path = filepath.Join(dir, "writ", hex.EncodeToString(log[:8])+".ledger.db")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", nil, err
	}
	copy, err = replica.Open(ctx, replica.Config{Path: path, URL: d.Ledger, Policy: t.policy, Charters: t.firsts, MaxAge: ledgerAge,
		Fatal: endProcess})
	return path, copy, err
}

// readBook replays a ledger, and keeps nothing of it.
func readBook(ctx context.Context, d *setup.Deployment, t *trust) (*ledger.Book, error) {
	f, err := follower.New(follower.Config{URL: d.Ledger, Policy: t.policy, MaxAge: ledgerAge})
	if err != nil {
		return nil, err
	}
	book := ledger.NewBook(t.firsts...)
	if _, err := f.Update(ctx, 0, book.Apply); err != nil {
		return nil, fail(codeUnavailable, err, "is the notary running?")
	}
	return book, nil
}

func stateWord(s api.WarrantState) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "WARRANT_STATE_"))
}

// approverFlags are the flags of who reads or signs a warrant.
type approverFlags struct{ deployment, key *string }

func newApproverFlags(cmd *cobra.Command) approverFlags {
	f := approverFlags{deploymentFlag(cmd), cmd.Flags().String("key", "", "the approver's key file")}
	cmd.MarkFlagRequired("key")
	return f
}

// opened is a warrant that an approver could read.
type opened struct {
	docket  api.DocketClient
	key     *setup.KeyFile
	warrant *warrant.Warrant
	public  warrant.Public // what the ledger will say of it
}

// read fetches a warrant by its hash, or a prefix of it, and opens its envelope.
func (f approverFlags) read(cmd *cobra.Command, prefix string) (*opened, error) {
	client, err := docketOf(*f.deployment)
	if err != nil {
		return nil, err
	}
	key, err := setup.LoadKeyFile(*f.key, setup.RoleApprover)
	if err != nil {
		return nil, fail(codeFailed, err, "--key names the key file of an approver (writ keygen approver)")
	}
	hash, err := findWarrant(cmd, client, prefix)
	if err != nil {
		return nil, err
	}
	r, err := client.GetWarrant(cmd.Context(), &api.GetWarrantRequest{WarrantHash: hash[:]})
	if err != nil {
		return nil, callError(err)
	}
	mail, err := warrant.ParseMailKey(key.Mail)
	if err != nil {
		return nil, err
	}
	content, err := warrant.Open(r.Envelope, key.Office+"/"+key.Name, mail)
	if err != nil {
		return nil, fail(codeRefused, err, "the envelope is sealed to the approvers whom the charter names")
	}
	o := &opened{docket: client, key: key}
	if o.warrant, o.public, err = readSalted(content, hash, r.Lodgement); err != nil {
		return nil, fail(codeInvalid, err, "nobody should approve it; tell the docket's operator")
	}
	return o, nil
}

// readSalted reads what an envelope held: the warrant of a hash, and what the ledger will
// say of it, which is computed here and has to be what is lodged. Only the offices are taken
// from there: with others than the charter's no entry counts.
func readSalted(content []byte, h warrant.Hash, lodgement []byte) (*warrant.Warrant, warrant.Public, error) {
	w, salt, err := warrant.ParseSalted(content)
	if err != nil {
		return nil, warrant.Public{}, err
	}
	if w.Hash() != h {
		return nil, warrant.Public{}, errors.New("the envelope holds another warrant than the docket says")
	}
	lodged, err := docket.ParseLodgement(lodgement)
	if err != nil {
		return nil, warrant.Public{}, err
	}
	public := w.PublicBy(salt, lodged.Offices)
	if field := lodged.Differs(public); field != "" {
		return nil, warrant.Public{}, fmt.Errorf("what the docket would publish is not this warrant: %s differs", field)
	}
	return w, public, nil
}

// latest names the warrant that was lodged last.
const latest = "latest"

const warrantHint = "writ warrant list prints them; a prefix of the hash is enough, latest is the newest"

// findWarrant returns the warrant that a word names: a prefix of its hash, or
// [latest].
func findWarrant(cmd *cobra.Command, docket api.DocketClient, prefix string) (h warrant.Hash, err error) {
	q := &api.ListWarrantsRequest{Prefix: strings.ToLower(prefix)}
	switch {
	case prefix == latest:
		q = &api.ListWarrantsRequest{Newest: true}
	case strings.Trim(q.Prefix, "0123456789abcdef") != "" || prefix == "":
		return h, usage(fmt.Errorf("%q is not the beginning of a hash", prefix), warrantHint)
	}
	list, err := docket.ListWarrants(cmd.Context(), q)
	if err != nil {
		return h, callError(err)
	}
	if n := len(list.Warrants); n != 1 {
		return h, usage(fmt.Errorf("%q names %d warrants", prefix, n), warrantHint)
	}
	found := list.Warrants[0].WarrantHash
	if len(found) != len(h) || prefix != latest && !strings.HasPrefix(hex.EncodeToString(found), q.Prefix) {
		return h, fmt.Errorf("malformed: the docket names a warrant %x", found)
	}
	return warrant.Hash(found), nil
}

func newWarrantShow() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show HASH|latest --key APPROVER.key",
		Short: "Read a lodged warrant, as one of its approvers",
		Args:  cobra.ExactArgs(1),
	}
	f := newApproverFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o, err := f.read(cmd, args[0])
		if err != nil {
			return err
		}
		if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
			_, err := cmd.OutOrStdout().Write(o.warrant.JSON())
			return err
		}
		o.print(cmd.OutOrStdout())
		return nil
	}
	return cmd
}

func newWarrantApprove() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "approve HASH|latest --key APPROVER.key",
		Short: "Read a lodged warrant and approve it",
		Long: `Approve shows the warrant in plain words, asks, and then signs what the ledger
will show of it with the approver's key. --yes doesn't ask. There is nothing to
undo an approval, and the ledger shows office, name and key of who approved, but
no more of an office than the charter asks for. HASH is the warrant's hash or a
prefix of it; latest is the one that was lodged last.`,
		Args: cobra.ExactArgs(1),
	}
	f := newApproverFlags(cmd)
	yes := cmd.Flags().Bool("yes", false, "approve without being asked")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o, err := f.read(cmd, args[0])
		if err != nil {
			return err
		}
		if end := time.Unix(int64(o.warrant.NotAfter), 0).UTC(); !time.Now().Before(end) {
			return fail(codeRefused, fmt.Errorf("the warrant could be used until %s only", end.Format(time.RFC3339)), "nothing was signed: it takes a new warrant")
		}
		if !*yes {
			o.print(cmd.ErrOrStderr())
			if err := confirm(cmd, fmt.Sprintf("Approve this warrant as %s of %s? Type yes: ", o.key.Name, o.key.Office)); err != nil {
				return err
			}
		}
		return o.approve(cmd)
	}
	return cmd
}

// print says which warrant it is, by the hash that a list shows, and what it would do.
func (o *opened) print(w io.Writer) {
	fmt.Fprintf(w, "warrant %x\n", o.warrant.Hash())
	printLaw(w, o.warrant.Explain())
}

// sign signs the warrant and hands the approval in.
func (o *opened) sign(ctx context.Context) (*api.ApproveResponse, error) {
	signing, err := warrant.ParseApproverKey(o.key.Signing)
	if err != nil {
		return nil, err
	}
	h := o.warrant.Hash()
	a := signing.Approve(o.public.Hash(), o.key.Office, o.key.Name)
	r, err := o.docket.Approve(ctx, &api.ApproveRequest{WarrantHash: h[:], Approval: warrant.EncodeApprovals([]warrant.Approval{a})})
	return r, callError(err)
}

// approve signs and says what is still missing.
func (o *opened) approve(cmd *cobra.Command) error {
	r, err := o.sign(cmd.Context())
	if err != nil {
		return err
	}
	h := o.warrant.Hash()
	result := map[string]any{"warrant": hex.EncodeToString(h[:]), "state": stateWord(r.State), "missing": append([]string{}, r.Missing...), "kept": r.Kept}
	return show(cmd, result, func(w io.Writer) {
		fmt.Fprintf(w, "approved by %s/%s; the warrant is %s\n", o.key.Office, o.key.Name, stateWord(r.State))
		if !r.Kept {
			fmt.Fprintf(w, "%s had approved enough before: the ledger won't show this approval\n", o.key.Office)
		}
		if len(r.Missing) > 0 {
			fmt.Fprintf(w, "still missing: %s\n", strings.Join(r.Missing, ", "))
		}
	})
}
