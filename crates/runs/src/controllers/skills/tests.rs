use serde::Deserialize;

use super::*;

/// Least precision and recall over the labelled set. What is measured stands in
/// `docs/benchmarks.md`.
const LEAST_PRECISION: f64 = 0.93;
const LEAST_RECALL: f64 = 0.93;

#[derive(Deserialize)]
struct Labelled {
    skills: Vec<Text>,
    tasks: Vec<Task>,
}

#[derive(Deserialize)]
struct Text {
    name: String,
    description: String,
    headings: Vec<String>,
}

#[derive(Deserialize)]
struct Task {
    task: String,
    skills: Vec<String>,
}

/// The set on which the thresholds were set.
const SET: &str = include_str!("../../../tests/fixtures/skill_relevance.json");
/// One that was written afterwards, and to which nothing was fitted.
const HELD_OUT: &str = include_str!("../../../tests/fixtures/skill_relevance_held_out.json");

fn labelled(text: &str) -> Labelled {
    serde_json::from_str(text).expect("JSON")
}

fn skill(name: &str, description: &str, headings: &[String]) -> Skill {
    Skill {
        name: name.to_owned(),
        description: description.to_owned(),
        origin: Origin::Repo,
        path: format!("/r/{name}/SKILL.md").into(),
        headings: headings.to_vec(),
        tokens: 1_000,
    }
}

fn index_of(skills: Vec<Skill>) -> SkillIndex {
    SkillIndex {
        skills,
        ..SkillIndex::default()
    }
}

fn wanted(task: &str) -> Wanted<'_> {
    Wanted {
        mode: Mode::Auto,
        names: &[],
        max_skills: 6,
        task,
    }
}

fn names(selection: &Selection) -> Vec<&str> {
    selection.selected.iter().map(|s| s.name.as_str()).collect()
}

/// What came of a labelled set.
#[derive(Debug, Default)]
struct Tally {
    right: f64,
    wrong: f64,
    missed: f64,
    misses: Vec<String>,
}

impl Tally {
    fn count(&mut self, index: &SkillIndex, task: &Task) {
        let selection = select(index, &wanted(&task.task));
        let chosen = names(&selection);
        for name in &chosen {
            match task.skills.iter().any(|expected| expected == name) {
                true => self.right += 1.0,
                false => {
                    self.wrong += 1.0;
                    self.misses.push(format!("`{}` chose {name}", task.task));
                }
            }
        }
        for name in &task.skills {
            if !chosen.contains(&name.as_str()) {
                self.missed += 1.0;
                self.misses.push(format!("`{}` missed {name}", task.task));
            }
        }
    }

    fn precision(&self) -> f64 {
        self.right / (self.right + self.wrong)
    }

    fn recall(&self) -> f64 {
        self.right / (self.right + self.missed)
    }
}

/// Plays a set with all its skills at hand, and with few, as most users have: the same
/// threshold must hold.
fn played(set: &Labelled) -> [(&'static str, Tally); 2] {
    let skills: Vec<Skill> = set
        .skills
        .iter()
        .map(|text| skill(&text.name, &text.description, &text.headings))
        .collect();
    let (mut whole, mut few) = (Tally::default(), Tally::default());
    let index = index_of(skills.clone());
    for (at, task) in set.tasks.iter().enumerate() {
        whole.count(&index, task);
        let kept = skills
            .iter()
            .enumerate()
            .filter(|(place, skill)| task.skills.contains(&skill.name) || (place + at) % 6 == 0);
        let kept = kept.map(|(_, skill)| skill.clone()).collect();
        few.count(&index_of(kept), task);
    }
    [("all", whole), ("few", few)]
}

fn check(set: &Labelled, least_precision: f64, least_recall: f64) {
    for (what, tally) in played(set) {
        let (precision, recall) = (tally.precision(), tally.recall());
        println!(
            "{what}: {} tasks, precision {precision:.3}, recall {recall:.3}",
            set.tasks.len()
        );
        println!("{:#?}", tally.misses);
        assert!(precision >= least_precision, "{:#?}", tally.misses);
        assert!(recall >= least_recall, "{:#?}", tally.misses);
    }
}

#[test]
fn relevance_holds_over_the_labelled_set() {
    let set = labelled(SET);
    assert!(set.tasks.len() >= 60, "{}", set.tasks.len());
    check(&set, 0.93, 0.93);
}

#[test]
fn relevance_holds_over_the_set_held_out() {
    check(&labelled(HELD_OUT), LEAST_PRECISION, LEAST_RECALL);
}

#[test]
fn nothing_relevant_is_told() {
    let index = index_of(vec![skill(
        "pdf",
        "Merge the PDF documents that the user has.",
        &[],
    )]);
    let selection = select(&index, &wanted("the user and the documents"));
    assert_eq!(names(&selection), Vec::<&str>::new());
    assert_eq!(
        selection.warnings,
        ["none of the 1 known skills is relevant to the task"]
    );
    let continued = select(&index, &wanted(" "));
    assert_eq!(
        continued.warnings,
        ["no task is given, so no skill was looked for"]
    );
}

#[test]
fn each_choice_has_its_reason_and_the_budget_holds() {
    let mut large = skill("pdf-forms", "Fill PDF forms.", &[]);
    large.tokens = TOKEN_BUDGET;
    let index = index_of(vec![skill("pdf", "Merge PDF documents.", &[]), large]);
    let selection = select(&index, &wanted("merge a PDF"));
    assert_eq!(names(&selection), ["pdf"]);
    assert!(
        selection.selected[0].reason.contains("pdf in its name"),
        "{selection:#?}"
    );
    let both = select(&index, &wanted("fill the PDF forms"));
    assert_eq!(names(&both), ["pdf-forms"]);
    let budget = both.warnings.iter().any(|text| text.contains("budget"));
    assert!(budget || both.selected.len() == 1, "{both:#?}");
}

#[test]
fn what_a_skill_is_not_for_does_not_choose_it() {
    let index = index_of(vec![skill(
        "tables",
        "Draw charts from numbers. Do not use for spreadsheets and invoices.",
        &[],
    )]);
    assert_eq!(
        names(&select(
            &index,
            &wanted("sum the spreadsheets of the invoices")
        )),
        Vec::<&str>::new()
    );
}

#[test]
fn names_are_taken_as_they_are() {
    let mut index = index_of(vec![skill("a", "d", &[]), skill("b", "d", &[])]);
    index.hidden.push(crate::files::skills::HiddenSkill {
        name: "a".to_owned(),
        origin: Origin::Global,
        path: "/g/a/SKILL.md".into(),
    });
    let asked = ["a".to_owned(), "a".to_owned()];
    let explicit = |names: &[String], max_skills| {
        let wanted = Wanted {
            mode: Mode::Explicit,
            names,
            max_skills,
            task: "t",
        };
        select(&index, &wanted)
    };
    let selection = explicit(&asked, 6);
    assert_eq!(names(&selection), ["a"]);
    assert!(selection.errors.is_empty());
    assert!(
        selection.warnings[0].contains("/g/a/SKILL.md (global)"),
        "{selection:#?}"
    );
    let missing = explicit(&["A".to_owned()], 6);
    assert_eq!(missing.errors, ["there is no skill `A`; did you mean `a`?"]);
    assert_eq!(explicit(&[], 6).errors.len(), 1);
    assert_eq!(
        explicit(&["a".to_owned(), "b".to_owned()], 1).errors.len(),
        1
    );
}
