// Writ is the one binary of the project: every role is a subcommand.
//
// Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused (the law or a
// custodian said no), 4 invalid (evidence or a log does not hold), 5
// unavailable (a service does not answer; trying again may help).
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, newRoot(), os.Args[1:]))
}

// run executes the command line and returns the exit code.
func run(ctx context.Context, root *cobra.Command, args []string) int {
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	return report(root.ErrOrStderr(), err)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "writ",
		Short: "Conversations end-to-end encrypted with accountable exceptional access",
		Long: `Writ is a messenger whose conversations are end-to-end encrypted (MLS, RFC 9420,
post-quantum by default) with accountable exceptional access: only a warrant
that several offices approve, that stands on a witnessed public log, and that a
threshold of independent custodians each check for themselves opens the
compartments it names. A compartment is one sender, one conversation, one epoch.

  writ demo        watch the whole of it on this machine
  writ localnet    the whole world on one machine, to use by hand`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.PersistentFlags().Bool("json", false, "print results as JSON")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(err, "writ "+cmd.Name()+" --help")
	})
	root.AddGroup(
		&cobra.Group{ID: "people", Title: "For people who talk:"},
		&cobra.Group{ID: "law", Title: "For the law and those who check it:"},
		&cobra.Group{ID: "services", Title: "For institutions that run a service:"},
		&cobra.Group{ID: "try", Title: "To try it:"},
	)
	root.AddCommand(
		newRegister(), newConversations(), newSend(), newRead(), newChat(),
		newCharter(), newWarrant(), newOpen(), newVerify(), newAudit(),
		newServe(), newNotary(), newWitness(), newDocket(), newCustodian(), newKeygen(),
		newLocalnet(), newDemo(),
	)
	return root
}
