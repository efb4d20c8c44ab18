//! Vocabulary and decisions of kube-smc: facts in, plan or refusal out.
#![forbid(unsafe_code)]
