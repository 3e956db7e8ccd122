"""The columns of the UCI HIGGS data set, in file order.

Source: Baldi, Sadowski, Whiteson, "Searching for exotic particles in high-energy physics with deep learning",
Nature Communications 5 (2014) 4308. Momenta and masses are divided by their mean over the data set, pseudorapidities
and azimuths by their standard deviation, so every column is dimensionless.
"""

LABEL = "label"  # 1 signal, 0 background

JETS = ("jet_1", "jet_2", "jet_3", "jet_4")
B_TAGS = tuple(f"{jet}_b_tag" for jet in JETS)

LOW_LEVEL = (
    "lepton_pt",
    "lepton_eta",
    "lepton_phi",
    "missing_energy_magnitude",
    "missing_energy_phi",
    *(f"{jet}_{quantity}" for jet in JETS for quantity in ("pt", "eta", "phi", "b_tag")),
)
# A half turn, pi, in units of the azimuth columns, whose largest values are 1.74: with it, masses computed from the
# low-level columns agree best with the published ones.
HALF_TURN = 1.7432
HIGH_LEVEL = ("m_jj", "m_jjj", "m_lv", "m_jlv", "m_bb", "m_wbb", "m_wwbb")

FEATURES = LOW_LEVEL + HIGH_LEVEL
COLUMNS = (LABEL, *FEATURES)
