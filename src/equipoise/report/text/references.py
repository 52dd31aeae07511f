"""References of the statistical methods, as journals print them, by the key that the report cites."""

from collections.abc import Callable

REFERENCES = {
    "delong": "DeLong ER, DeLong DM, Clarke-Pearson DL. Comparing the areas under two or more correlated receiver "
    "operating characteristic curves. Biometrics 1988;44:837–845.",
    "obuchowski": "Obuchowski NA. Nonparametric analysis of clustered ROC curve data. Biometrics 1997;53:567–578.",
    "rockette": "Obuchowski NA, Rockette HE. Hypothesis testing of diagnostic accuracy for multiple readers and "
    "multiple tests. Commun Stat Simul Comput 1995;24:285–308.",
    "hillis": "Hillis SL. A comparison of denominator degrees of freedom methods for multiple observer ROC analysis. "
    "Stat Med 2007;26:596–619.",
    "hall": "Hall P. On the removal of skewness by transformation. J R Stat Soc B 1992;54:221–228.",
    "hothorn": "Hothorn T, Bretz F, Westfall P. Simultaneous inference in general parametric models. Biom J "
    "2008;50:346–363.",
    "smyth": "Smyth GK. Linear models and empirical Bayes methods for assessing differential expression in microarray "
    "experiments. Stat Appl Genet Mol Biol 2004;3:3.",
    "schuirmann": "Schuirmann DJ. A comparison of the two one-sided tests procedure and the power approach for "
    "assessing the equivalence of average bioavailability. J Pharmacokinet Biopharm 1987;15:657–680.",
    "zou": "Zou GY. Toward using confidence intervals to compare correlations. Psychol Methods 2007;12:399–413.",
    "holm": "Holm S. A simple sequentially rejective multiple test procedure. Scand J Stat 1979;6:65–70.",
    "newcombe": "Newcombe RG. Confidence intervals for an effect size measure based on the Mann–Whitney statistic. "
    "Part 2: asymptotic methods and evaluation. Stat Med 2006;25:559–573.",
    "ledell": "LeDell E, Petersen M, van der Laan M. Computationally efficient confidence intervals for "
    "cross-validated area under the ROC curve estimates. Electron J Stat 2015;9:1583–1607.",
    "nadeau": "Nadeau C, Bengio Y. Inference for the generalization error. Mach Learn 2003;52:239–281.",
    "efron": "Efron B. Better bootstrap confidence intervals. J Am Stat Assoc 1987;82:171–185.",
    "guo": "Guo C, Pleiss G, Sun Y, Weinberger KQ. On calibration of modern neural networks. Proc Int Conf Mach "
    "Learn 2017:1321–1330.",
    "vickers": "Vickers AJ, Elkin EB. Decision curve analysis: a novel method for evaluating prediction models. Med "
    "Decis Making 2006;26:565–574.",
    "lan": "Lan KKG, DeMets DL. Discrete sequential boundaries for clinical trials. Biometrika 1983;70:659–663.",
    "owen": "Owen AB. Scrambling Sobol' and Niederreiter-Xing points. J Complexity 1998;14:466–489.",
    "wilson": "Wilson EB. Probable inference, the law of succession, and statistical inference. J Am Stat Assoc "
    "1927;22:209–212.",
    "setio": "Setio AAA, Traverso A, de Bel T, et al. Validation, comparison, and combination of algorithms for "
    "automatic detection of pulmonary nodules in computed tomography images: the LUNA16 challenge. Med Image Anal "
    "2017;42:1–13.",
    "isensee": "Isensee F, Jaeger PF, Kohl SAA, Petersen J, Maier-Hein KH. nnU-Net: a self-configuring method for deep "
    "learning-based biomedical image segmentation. Nat Methods 2021;18:203–211.",
    "lidc": "Armato SG III, McLennan G, Bidaut L, et al. The Lung Image Database Consortium (LIDC) and Image Database "
    "Resource Initiative (IDRI): a completed reference database of lung nodules on CT scans. Med Phys 2011;38:915–931.",
}
Cite = Callable[..., str]
"""Keys of REFERENCES → their numbers in brackets; a reference gets its number when it is first cited."""
