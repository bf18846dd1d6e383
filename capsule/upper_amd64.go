package capsule

import "golang.org/x/sys/cpu"

// zeroUpper is the instruction VZEROUPPER, which needs AVX.
func zeroUpper()

// leaveAVX tells the processor that the upper halves of its vector registers are in
// no use. Circl's ML-KEM leaves them filled, and until somebody says so each SHA
// instruction of some processors waits for them: SHA-256 takes ten times as long.
func leaveAVX() {
	if cpu.X86.HasAVX {
		zeroUpper()
	}
}
