package chartertest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"

	"writ/charter"
	"writ/directory"
)

// The name of the directory's log in the charters made here.
const DirectoryOrigin = "directory.test/writ"

// DirectoryKeys returns the private keys of the directory that the charters made
// here name: of its log, of its one witness, and of its labels.
func DirectoryKeys() (log, witness ed25519.PrivateKey, labels *directory.LabelSigner) {
	key := func(name string) ed25519.PrivateKey {
		seed := sha256.Sum256([]byte("chartertest directory " + name))
		return ed25519.NewKeyFromSeed(seed[:])
	}
	seed := sha256.Sum256([]byte("chartertest directory labels"))
	seed[31] &= 0x0f // below the group's order
	labels, err := directory.NewLabelSigner(seed[:])
	if err != nil {
		panic("chartertest: " + err.Error())
	}
	return key("log"), key("witness"), labels
}

// Directory returns what a charter says of that directory.
func Directory() charter.Directory {
	log, witness, labels := DirectoryKeys()
	vkey, err := note.NewEd25519VerifierKey(DirectoryOrigin, log.Public().(ed25519.PublicKey))
	if err != nil {
		panic("chartertest: " + err.Error())
	}
	cosigner, err := torchwood.NewCosignatureSigner("d.test", witness)
	if err != nil {
		panic("chartertest: " + err.Error())
	}
	return charter.Directory{Policy: fmt.Sprintf("log %s\nwitness d %s\nquorum d\n", vkey, cosigner.Verifier()),
		VRF: [32]byte(labels.Public().Bytes())}
}
